package balsa

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// CodecFor returns the encoding that Open chooses for commands of type C: raw bytes, the type's own binary form, or JSON.
func CodecFor[C any]() Codec[C] {
	var zero C
	switch any(zero).(type) {
	case []byte:
		return any(bytesCodec{}).(Codec[C])
	case string:
		return any(stringCodec{}).(Codec[C])
	}
	switch {
	case isBinary(&zero):
		return binaryCodec[C]{}
	case reflect.TypeFor[C]().Kind() == reflect.Pointer && isBinary(zero):
		return pointerCodec[C]{}
	}
	return jsonCodec[C]{}
}

// isBinary reports whether v's type has a binary form of its own.
func isBinary(v any) bool {
	_, decodes := v.(encoding.BinaryUnmarshaler)
	_, appends := v.(encoding.BinaryAppender)
	_, marshals := v.(encoding.BinaryMarshaler)
	return decodes && (appends || marshals)
}

func appendBinary(b []byte, v any) ([]byte, error) {
	if a, ok := v.(encoding.BinaryAppender); ok {
		return a.AppendBinary(b)
	}
	m, err := v.(encoding.BinaryMarshaler).MarshalBinary()
	return append(b, m...), err
}

type bytesCodec struct{}

func (bytesCodec) Append(b []byte, c []byte) ([]byte, error) { return append(b, c...), nil }
func (bytesCodec) Decode(b []byte) ([]byte, error)           { return b, nil }

type stringCodec struct{}

func (stringCodec) Append(b []byte, c string) ([]byte, error) { return append(b, c...), nil }
func (stringCodec) Decode(b []byte) (string, error)           { return string(b), nil }

type binaryCodec[C any] struct{}

func (binaryCodec[C]) Append(b []byte, c C) ([]byte, error) { return appendBinary(b, &c) }

func (binaryCodec[C]) Decode(b []byte) (c C, err error) {
	err = any(&c).(encoding.BinaryUnmarshaler).UnmarshalBinary(b) // on a line of its own: c must be returned as it is afterwards
	return c, err
}

// pointerCodec is binaryCodec for a C that is itself a pointer.
type pointerCodec[C any] struct{}

func (pointerCodec[C]) Append(b []byte, c C) ([]byte, error) {
	if reflect.ValueOf(c).IsNil() {
		return b, errors.New("the command is nil")
	}
	return appendBinary(b, c)
}

func (pointerCodec[C]) Decode(b []byte) (c C, err error) {
	c = reflect.New(reflect.TypeFor[C]().Elem()).Interface().(C)
	return c, any(c).(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
}

type jsonCodec[C any] struct{}

func (codec jsonCodec[C]) Append(b []byte, c C) ([]byte, error) {
	j, err := json.Marshal(c)
	if err != nil {
		return b, err
	}
	// Some of what can be written cannot be read, such as what an interface holds. In the log it would stop every member, again at
	// each start.
	if _, err := codec.Decode(j); err != nil {
		return b, fmt.Errorf("it could not be read back: %w", err)
	}
	return append(b, j...), nil
}

func (jsonCodec[C]) Decode(b []byte) (c C, err error) {
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("as JSON: %w", err)
	}
	return c, nil
}
