package main

// etcdFlags are the flags of etcd 3.7, and of the versions before it whose files and scripts are still about, that
// mean nothing to Balsa. They are taken with a warning, so that what starts etcd starts Balsa; true marks those that
// need no value.
var etcdFlags = map[string]bool{
	// member
	"wal-dir": false, "snapshot-count": false, "max-snapshots": false, "max-wals": false, "initial-election-tick-advance": true,
	"backend-bbolt-freelist-type": false, "backend-batch-interval": false, "backend-batch-limit": false, "enable-grpc-gateway": true,
	"socket-reuse-port": true, "socket-reuse-address": true, "raft-read-timeout": false, "raft-write-timeout": false, "feature-gates": false,
	// clustering
	"strict-reconfig-check": true, "pre-vote": true, "auto-compaction-mode": false, "auto-compaction-retention": false,
	"discovery-fallback": false, "discovery-proxy": false, "discovery-srv-name": false, "discovery-dial-timeout": false,
	"discovery-request-timeout": false, "discovery-keepalive-time": false, "discovery-keepalive-timeout": false,
	"discovery-insecure-transport": true, "discovery-insecure-skip-tls-verify": true, "discovery-cert": false,
	"discovery-key": false, "discovery-cacert": false, "discovery-user": false, "discovery-password": false,
	// security
	"cert-file": false, "key-file": false, "client-cert-auth": true, "client-cert-file": false, "client-key-file": false,
	"client-crl-file": false, "client-cert-allowed-hostname": false, "trusted-ca-file": false, "auto-tls": true,
	"peer-cert-file": false, "peer-key-file": false, "peer-client-cert-auth": true, "peer-client-cert-file": false,
	"peer-client-key-file": false, "peer-trusted-ca-file": false, "peer-cert-allowed-cn": false, "peer-cert-allowed-hostname": false,
	"peer-auto-tls": true, "peer-crl-file": false, "peer-skip-client-san-verification": true, "self-signed-cert-validity": false,
	"cipher-suites": false, "tls-min-version": false, "tls-max-version": false, "cors": false, "host-whitelist": false,
	// auth
	"auth-token": false, "bcrypt-cost": false, "auth-token-ttl": false,
	// monitoring, logging, tracing
	"metrics": false, "logger": false, "enable-log-rotation": true, "log-rotation-config-json": false,
	"enable-distributed-tracing": true, "distributed-tracing-address": false, "distributed-tracing-service-name": false,
	"distributed-tracing-instance-id": false, "distributed-tracing-sampling-rate": false,
	// features
	"corrupt-check-time": false, "compact-hash-check-time": false, "compaction-batch-limit": false, "compaction-sleep-interval": false,
	"watch-progress-notify-interval": false, "downgrade-check-time": false, "warning-apply-duration": false,
	"warning-unary-request-duration": false, "memory-mlock": true, "bootstrap-defrag-threshold-megabytes": false,
	"snapshot-catchup-entries": false, "unsafe-no-fsync": true,

	// before 3.7
	"enable-v2": true, "v2-deprecation": false, "debug": true, "log-package-levels": false, "proxy": false, "proxy-failure-wait": false,
	"proxy-refresh-interval": false, "proxy-dial-timeout": false, "proxy-write-timeout": false, "proxy-read-timeout": false,
	"experimental-initial-corrupt-check": true, "experimental-corrupt-check-time": false, "experimental-compact-hash-check-enabled": true,
	"experimental-compact-hash-check-time": false, "experimental-enable-v2v3": false, "experimental-enable-lease-checkpoint": true,
	"experimental-enable-lease-checkpoint-persist": true, "experimental-compaction-batch-limit": false,
	"experimental-compaction-sleep-interval": false, "experimental-peer-skip-client-san-verification": true,
	"experimental-watch-progress-notify-interval": false, "experimental-downgrade-check-time": false, "experimental-memory-mlock": true,
	"experimental-warning-apply-duration": false, "experimental-warning-unary-request-duration": false,
	"experimental-txn-mode-write-with-shared-buffer": true, "experimental-bootstrap-defrag-threshold-megabytes": false,
	"experimental-stop-grpc-service-on-defrag": true, "experimental-max-learners": false, "experimental-snapshot-catchup-entries": false,
	"experimental-snapshot-catch-up-entries": false, "experimental-enable-distributed-tracing": true,
	"experimental-distributed-tracing-address": false, "experimental-distributed-tracing-service-name": false,
	"experimental-distributed-tracing-instance-id": false, "experimental-distributed-tracing-sampling-rate": false,
}

// refusedFlags are etcd's flags that change which data a member serves or how it finds its cluster. To ignore one
// would do something else than was asked for. The text says what to do instead.
var refusedFlags = map[string]string{
	"force-new-cluster":   "Balsa cannot make a new cluster of one member's data yet",
	"discovery":           "name the members with --initial-cluster",
	"discovery-endpoints": "name the members with --initial-cluster",
	"discovery-token":     "name the members with --initial-cluster",
	"discovery-srv":       "name the members with --initial-cluster",
}
