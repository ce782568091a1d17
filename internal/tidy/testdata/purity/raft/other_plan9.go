package raft // want "may not depend on the platform"
