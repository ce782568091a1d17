package balsa

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// plain is encoded as JSON.
type plain struct {
	Name string
	N    int
}

// packed has a binary form of its own, of fields that JSON does not see.
type packed struct{ name string }

func (p packed) AppendBinary(b []byte) ([]byte, error) { return append(b, "packed:"+p.name...), nil }
func (p *packed) UnmarshalBinary(b []byte) error {
	rest, ok := bytes.CutPrefix(b, []byte("packed:"))
	if !ok {
		return fmt.Errorf("%q is not packed", b)
	}
	p.name = string(rest)
	return nil
}

// marshalled has the older of the two methods, on its pointer.
type marshalled struct{ name string }

func (m *marshalled) MarshalBinary() ([]byte, error) { return []byte("marshalled:" + m.name), nil }
func (m *marshalled) UnmarshalBinary(b []byte) error {
	m.name = strings.TrimPrefix(string(b), "marshalled:")
	return nil
}

// odd is a type whose JSON cannot be read back.
type odd struct{ Kind fmt.Stringer }

type kind string

func (k kind) String() string { return string(k) }

type named []byte

// TestCodecs: every type of command comes out of the log as it went in, in its own form.
func TestCodecs(t *testing.T) {
	testCodec(t, []byte("abc"), "abc")
	testCodec(t, []byte{}, "")
	testCodec(t, "abc", "abc")
	testCodec(t, 42, "42")
	testCodec(t, plain{"a", 1}, `{"Name":"a","N":1}`)
	testCodec(t, &plain{"a", 1}, `{"Name":"a","N":1}`)
	testCodec(t, (*plain)(nil), "null")
	testCodec(t, named("abc"), `"YWJj"`)
	testCodec(t, packed{"a"}, "packed:a")
	testCodec(t, &packed{"a"}, "packed:a")
	testCodec(t, marshalled{"a"}, "marshalled:a")
	testCodec(t, &marshalled{"a"}, "marshalled:a")
	testCodec[any](t, "abc", `"abc"`)
	testCodec(t, json.RawMessage(`{"a":1}`), `{"a":1}`)
}

func testCodec[C any](t *testing.T, c C, want string) {
	t.Helper()
	codec := CodecFor[C]()
	head := strings.Repeat("h", 16)
	b, err := codec.Append([]byte(head), c)
	if err != nil || string(b) != head+want {
		t.Errorf("%T is encoded as %q, %v; want %q", c, b, err, head+want)
		return
	}
	got, err := codec.Decode(b[len(head):])
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("%#v is read back as %#v, %v", c, got, err)
	}
}

// TestCodecRefuses: what could not be read back is refused before it is in the log. There, it would stop every member at every start.
func TestCodecRefuses(t *testing.T) {
	refuse(t, odd{kind("a")}, "read back")
	refuse[fmt.Stringer](t, kind("a"), "read back")
	refuse(t, func() {}, "unsupported type")
	refuse(t, json.RawMessage(`{`), "unexpected end")
}

func refuse[C any](t *testing.T, c C, want string) {
	t.Helper()
	if b, err := CodecFor[C]().Append(nil, c); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%T is encoded as %q, %v; want %q", c, b, err, want)
	}
}

// TestDecodeRefuses: commands that another program wrote are errors.
func TestDecodeRefuses(t *testing.T) {
	if _, err := CodecFor[plain]().Decode([]byte("{")); err == nil {
		t.Error("half an object is read")
	}
	if _, err := CodecFor[packed]().Decode([]byte("x")); err == nil || errors.Unwrap(err) != nil {
		t.Errorf("what is not packed is read: %v", err)
	}
	if _, err := CodecFor[*packed]().Decode([]byte("x")); err == nil {
		t.Error("what is not packed is read")
	}
}
