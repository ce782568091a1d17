// Package good_test may say what it likes.
package good_test
