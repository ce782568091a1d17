package kv

import (
	"strconv"
	"testing"
)

// hashKey spreads keys the way etcd's own test of its hash does, so that its expected numbers can be compared with.
func hashKey(i int64) string {
	switch {
	case i%142 == 30:
		return "zenek"
	case i%71 == 30:
		return "xavery"
	}
	return []string{"alice", "bob", "celine", "dominik", "eve", "frederica", "gorge"}[i%7]
}

func hashPuts(s *Store, from, count int64) {
	for i := from; i <= from+count; i++ {
		mustApply(s, put(hashKey(i), strconv.FormatInt(i, 10)))
	}
}

func mustApply(s *Store, c Command) Response {
	r := applyOne(s, c)
	if r.Err != nil {
		panic(r.Err)
	}
	return r
}

// TestHashKVIsEtcds compares with the numbers that etcd pins for the same history (TestHashByRevValue and
// TestHashByRevValueLastRevision in its server/storage/mvcc/hash_test.go): hash, last compaction, hashed revision.
func TestHashKVIsEtcds(t *testing.T) {
	type expected struct {
		hash                uint32
		compacted, hashedAt int64
	}
	for _, test := range []struct {
		name   string
		latest bool
		want   []expected
	}{
		{"middle", false, []expected{
			{4082599214, -1, 35}, {2279933401, 35, 106}, {3284231217, 106, 177}, {126286495, 177, 248},
			{900108730, 248, 319}, {2475485232, 319, 390}, {1226296507, 390, 461}, {2503661030, 461, 532},
			{4155130747, 532, 603}, {106915399, 603, 674}, {406914006, 674, 745}, {1882211381, 745, 816},
			{806177088, 816, 887}, {664311366, 887, 958}, {1496914449, 958, 1029}, {2434525091, 1029, 1100},
			{3988652253, 1100, 1171}, {1122462288, 1171, 1242}, {724436716, 1242, 1883},
		}},
		{"latest", true, []expected{
			{1913897190, -1, 73}, {224860069, 73, 145}, {1565167519, 145, 217}, {1566261620, 217, 289},
			{2037173024, 289, 361}, {691659396, 361, 433}, {2713730748, 433, 505}, {3919322507, 505, 577},
			{769967540, 577, 649}, {2909194793, 649, 721}, {1576921157, 721, 793}, {4067701532, 793, 865},
			{2226384237, 865, 937}, {2923408134, 937, 1009}, {2680329256, 1009, 1081}, {1546717673, 1081, 1153},
			{2713657846, 1153, 1225}, {1046575299, 1225, 1297}, {2017735779, 1297, 2508},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := New()
			var from int64
			for i, want := range test.want {
				count := int64(71)
				if i == len(test.want)-1 {
					count = 1210
				}
				hashPuts(s, from, count)
				revision := from + count/2
				if test.latest {
					revision = 0
				}
				got, err := s.HashKV(revision)
				if err != nil {
					t.Fatal(err)
				}
				if g := (expected{got.Hash, got.CompactRevision, got.HashRevision}); g != want {
					t.Errorf("step %d: %+v, want %+v", i, g, want)
				}
				mustApply(s, Command{Compact: &CompactRequest{Revision: got.HashRevision}})
				from += 71
			}
		})
	}
}
