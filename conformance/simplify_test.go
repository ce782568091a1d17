package conformance

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// simplifications returns the requests that are one step simpler: without one of the fields, or one element of a list,
// of the request or of a message in it.
func simplifications(request proto.Message) []proto.Message {
	var all []proto.Message
	// Each change is made to a clone of its own, which the paths lead into.
	add := func(path path, change func(protoreflect.Message)) {
		clone := proto.Clone(request)
		change(path.in(clone.ProtoReflect()))
		all = append(all, clone)
	}
	var walk func(protoreflect.Message, path)
	walk = func(m protoreflect.Message, at path) {
		m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			if !field.IsList() {
				add(at, func(m protoreflect.Message) { m.Clear(field) })
				if field.Message() != nil {
					walk(value.Message(), at.to(step{field, -1}))
				}
				return true
			}
			for i := range value.List().Len() {
				add(at, func(m protoreflect.Message) { remove(m.Mutable(field).List(), i) })
			}
			for i := range value.List().Len() {
				walk(value.List().Get(i).Message(), at.to(step{field, i}))
			}
			return true
		})
	}
	walk(request.ProtoReflect(), nil)
	return all
}

func remove(list protoreflect.List, i int) {
	for ; i+1 < list.Len(); i++ {
		list.Set(i, list.Get(i+1))
	}
	list.Truncate(list.Len() - 1)
}

// path leads from a message to one in it.
type path []step

// step goes to a field, or an element of one that is a list.
type step struct {
	field protoreflect.FieldDescriptor
	index int // -1: no list
}

func (p path) to(s step) path { return append(p[:len(p):len(p)], s) }

func (p path) in(m protoreflect.Message) protoreflect.Message {
	for _, s := range p {
		if s.index >= 0 {
			m = m.Mutable(s.field).List().Get(s.index).Message()
		} else {
			m = m.Mutable(s.field).Message()
		}
	}
	return m
}
