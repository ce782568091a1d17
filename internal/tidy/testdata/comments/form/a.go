// This is the package form.
package form // want "must begin with"
