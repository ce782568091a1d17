package subject

// step does what it does, As requested. // want "As requested"
func step() {}

const said = "the language model" // want "language model"

// A session is a client's, and t.Helper marks helpers. Aims are fine.
// An AI wrote this. // want "AI"
type session struct{ retained, brief, task int }
