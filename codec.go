package balsa

import (
	"encoding"
	"encoding/json"
	"fmt"
)

// codecFor chooses the encoding of C: raw bytes, the type's own binary form, or JSON.
func codecFor[C any]() Codec[C] {
	var zero C
	switch any(zero).(type) {
	case []byte:
		return any(bytesCodec{}).(Codec[C])
	case string:
		return any(stringCodec{}).(Codec[C])
	}
	_, decodes := any(&zero).(encoding.BinaryUnmarshaler)
	_, appends := any(&zero).(encoding.BinaryAppender)
	_, marshals := any(&zero).(encoding.BinaryMarshaler)
	if decodes && (appends || marshals) {
		return binaryCodec[C]{}
	}
	return jsonCodec[C]{}
}

type bytesCodec struct{}

func (bytesCodec) Append(b []byte, c []byte) ([]byte, error) { return append(b, c...), nil }
func (bytesCodec) Decode(b []byte) ([]byte, error)           { return b, nil }

type stringCodec struct{}

func (stringCodec) Append(b []byte, c string) ([]byte, error) { return append(b, c...), nil }
func (stringCodec) Decode(b []byte) (string, error)           { return string(b), nil }

type binaryCodec[C any] struct{}

func (binaryCodec[C]) Append(b []byte, c C) ([]byte, error) {
	if a, ok := any(&c).(encoding.BinaryAppender); ok {
		return a.AppendBinary(b)
	}
	m, err := any(&c).(encoding.BinaryMarshaler).MarshalBinary()
	return append(b, m...), err
}

func (binaryCodec[C]) Decode(b []byte) (c C, err error) {
	return c, any(&c).(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
}

type jsonCodec[C any] struct{}

func (jsonCodec[C]) Append(b []byte, c C) ([]byte, error) {
	j, err := json.Marshal(c)
	return append(b, j...), err
}

func (jsonCodec[C]) Decode(b []byte) (c C, err error) {
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("as JSON: %w", err)
	}
	return c, nil
}
