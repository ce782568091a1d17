package types // want "types names no purpose"
