package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// printer writes answers in one of the formats. simple and json are etcdctl's.
type printer struct {
	w         io.Writer
	format    string
	keysOnly  bool
	valueOnly bool
	countOnly bool
}

func (p *printer) json(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot write the answer as JSON: %w", err)
	}
	_, err = fmt.Fprintf(p.w, "%s\n", b)
	return err
}

func (p *printer) put(r *pb.PutResponse) error {
	switch p.format {
	case "json":
		return p.json(r)
	case "table":
		p.table([]string{"revision"}, [][]string{{number(r.GetHeader().GetRevision())}})
		p.prevTable(prevOf(r.PrevKv))
		return nil
	}
	fmt.Fprintln(p.w, "OK")
	p.keyValues(prevOf(r.PrevKv))
	return nil
}

func prevOf(kv *mvccpb.KeyValue) []*mvccpb.KeyValue {
	if kv == nil {
		return nil
	}
	return []*mvccpb.KeyValue{kv}
}

func (p *printer) get(r *pb.RangeResponse) error {
	switch {
	case p.format == "json":
		return p.json(r)
	case p.countOnly && p.format == "table":
		p.table([]string{"count"}, [][]string{{number(r.Count)}})
	case p.countOnly:
		fmt.Fprintln(p.w, r.Count)
	case p.format == "table":
		p.keyValueTable(r.Kvs)
	default:
		p.keyValues(r.Kvs)
	}
	return nil
}

func (p *printer) del(r *pb.DeleteRangeResponse) error {
	switch p.format {
	case "json":
		return p.json(r)
	case "table":
		p.table([]string{"deleted", "revision"}, [][]string{{number(r.Deleted), number(r.GetHeader().GetRevision())}})
		p.prevTable(r.PrevKvs)
		return nil
	}
	fmt.Fprintln(p.w, r.Deleted)
	p.keyValues(r.PrevKvs)
	return nil
}

func (p *printer) txn(r *pb.TxnResponse) error {
	if p.format == "json" {
		return p.json(r)
	}
	outcome := "FAILURE"
	if r.Succeeded {
		outcome = "SUCCESS"
	}
	fmt.Fprintln(p.w, outcome)
	for _, op := range r.Responses {
		fmt.Fprintln(p.w)
		var err error
		switch op := op.Response.(type) {
		case *pb.ResponseOp_ResponseRange:
			err = p.get(op.ResponseRange)
		case *pb.ResponseOp_ResponsePut:
			err = p.put(op.ResponsePut)
		case *pb.ResponseOp_ResponseDeleteRange:
			err = p.del(op.ResponseDeleteRange)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyValues writes keys and values a line each, as they are.
func (p *printer) keyValues(kvs []*mvccpb.KeyValue) {
	for _, kv := range kvs {
		if !p.valueOnly {
			fmt.Fprintf(p.w, "%s\n", kv.Key)
		}
		if !p.keysOnly {
			fmt.Fprintf(p.w, "%s\n", kv.Value)
		}
	}
}

func (p *printer) keyValueTable(kvs []*mvccpb.KeyValue) {
	var rows [][]string
	for _, kv := range kvs {
		rows = append(rows, []string{text(kv.Key), text(kv.Value), number(kv.CreateRevision), number(kv.ModRevision), number(kv.Version), strconv.FormatInt(kv.Lease, 16)})
	}
	p.table([]string{"key", "value", "created", "modified", "version", "lease"}, rows)
}

func (p *printer) prevTable(kvs []*mvccpb.KeyValue) {
	if len(kvs) > 0 {
		p.keyValueTable(kvs)
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// text makes bytes fit for a table's cell.
func text(b []byte) string {
	s := string(b)
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}

// table writes rows in a frame, as etcdctl does.
func (p *printer) table(head []string, rows [][]string) {
	widths := make([]int, len(head))
	for i, h := range head {
		widths[i] = utf8.RuneCountInString(h)
	}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var rule strings.Builder
	for _, w := range widths {
		rule.WriteString("+" + strings.Repeat("-", w+2))
	}
	rule.WriteString("+\n")
	line := func(cells []string) {
		for i, cell := range cells {
			fmt.Fprintf(p.w, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		fmt.Fprintln(p.w, "|")
	}
	var upper []string
	for _, h := range head {
		upper = append(upper, strings.ToUpper(h))
	}
	io.WriteString(p.w, rule.String())
	line(upper)
	io.WriteString(p.w, rule.String())
	for _, row := range rows {
		line(row)
	}
	if len(rows) > 0 {
		io.WriteString(p.w, rule.String())
	}
}

// rows writes a table in the chosen one of the two formats for people: simple is one line a row, with commas.
func (p *printer) rows(head []string, rows [][]string) {
	if p.format == "table" {
		p.table(head, rows)
		return
	}
	for _, row := range rows {
		fmt.Fprintln(p.w, strings.Join(row, ", "))
	}
}
