package host

import (
	"encoding/hex"
	"testing"
	"time"
)

// TestGoldenFiles pins the bytes of the data folder's small files.
func TestGoldenFiles(t *testing.T) {
	identity := Identity{ClusterID: 0x1122334455667788, Member: 3, Incarnation: 0xfedcba9876543210}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"identity", identity.encode(), "42414c5341494431887766554433221103000000000000001032547698badcfe9d0145ee"},
		{"promise", encodePromise(time.Second), "42414c534150523100ca9a3b00000000896696ba"},
		{"epoch", encodeEpoch(1_700_000_000_000_000_000), "42414c534145503100002a36fe9c97178ccaaa32"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if id, err := decodeIdentity(identity.encode()); err != nil || id != identity {
		t.Errorf("the identity is read back as %v, %v", id, err)
	}
}
