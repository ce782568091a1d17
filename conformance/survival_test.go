package conformance

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/prototext"
)

// fatalToEtcd is a transaction that stops etcd 3.6 and 3.7: it deletes a key and then puts it with ignore_value, which
// the search for duplicate keys does not see because of the range end. etcd looks for the value that is not there any
// more, in every member, and again after each restart. It is in no sequence; see spareEtcd.
const fatalToEtcd = `success:{request_delete_range:{key:"a" range_end:"\x00"}} success:{request_put:{key:"a" ignore_value:true}}`

// TestSurvival sends Balsa what etcd does not survive. There is nothing to keep, so the value is empty.
func TestSurvival(t *testing.T) {
	txn := &pb.TxnRequest{}
	if err := prototext.Unmarshal([]byte(fatalToEtcd), txn); err != nil {
		t.Fatal(err)
	}
	c := balsa(t)
	for i, m := range c.members {
		m.mustSend(t, everything)
		m.mustSend(t, &pb.PutRequest{Key: []byte("a"), Value: []byte("1")})
		m.mustSend(t, txn)
		for j, reader := range c.members {
			r, err := reader.kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("a")})
			if err != nil || len(r.Kvs) != 1 || len(r.Kvs[0].Value) != 0 || r.Kvs[0].Version != 1 {
				t.Errorf("sent to %s, read from %s: %v, %v", role(i), role(j), r, err)
			}
		}
	}
	balsa(t) // its processes still run
}
