//! What stands at the end of each command's help: lines to copy, and what its exit codes mean.
//!
//! Each line that begins with `ci-bridge` is parsed by a test, so that none outlives a flag.

pub(crate) const PROGRAM: &str = "\
Examples:
  ci-bridge demo                          watch it work, nothing needed
  ci-bridge init --token                  write ci-bridge.toml and a secret
  ci-bridge check -c ci-bridge.toml --connect
  ci-bridge serve -c ci-bridge.toml
  ci-bridge send --sample noise-reduction --url http://127.0.0.1:8080/ci/callback

Exit codes:
  0 done; 1 failed; 2 not a command line; 65 a body cannot be read; 78 the configuration cannot be used";

pub(crate) const SERVE: &str = "\
Examples:
  ci-bridge serve -c /etc/ci-bridge/ci-bridge.toml
  ci-bridge serve --listen 127.0.0.1:0 --nats nats://127.0.0.1:4222 --log-level debug

Exit codes:
  0 asked to stop (SIGTERM, SIGINT) and done; 1 failed; 78 the configuration cannot be used; 130 a second signal";

pub(crate) const CHECK: &str = "\
Examples:
  ci-bridge check -c ci-bridge.toml
  ci-bridge check -c ci-bridge.toml --connect

Exit codes:
  0 good; 78 the configuration cannot be used, or NATS or Tencent CI does not agree with it";

pub(crate) const INIT: &str = "\
Examples:
  ci-bridge init
  ci-bridge init /etc/ci-bridge/ci-bridge.toml --token
  ci-bridge init - > ci-bridge.toml

Exit codes:
  0 written; 1 the file exists, or cannot be written";

pub(crate) const RENDER: &str = "\
Examples:
  ci-bridge render body.xml
  curl -s https://example.com/body | ci-bridge render -c ci-bridge.toml -

Exit codes:
  0 rendered; 65 a body, or its file, cannot be read: the line says where; 78 the configuration cannot be used";

pub(crate) const SEND: &str = "\
Examples:
  ci-bridge send --sample noise-reduction
  ci-bridge send body.xml --url http://127.0.0.1:8080/ci/callback/TOKEN
  cat body.xml | ci-bridge send - -c ci-bridge.toml --endpoint default

Exit codes:
  0 each was answered 200; 1 one was not";

pub(crate) const TAIL: &str = "\
Examples:
  ci-bridge tail
  ci-bridge tail 'ci.task.*.failed' --since 2h
  ci-bridge tail --last 20 --kind task,moderation --state failed,violation
  ci-bridge tail 'ci-quarantine.>' --json | jq .";

pub(crate) const SCHEMA: &str = "\
Examples:
  ci-bridge schema task > task.schema.json
  ci-bridge schema asyncapi -c ci-bridge.toml";

pub(crate) const QUARANTINE: &str = "\
Examples:
  ci-bridge quarantine list
  ci-bridge quarantine show 7 | ci-bridge render -
  ci-bridge quarantine replay 7 -c ci-bridge.toml

Exit codes:
  0 done; 1 failed, or one was not taken";

pub(crate) const SPOOL: &str = "\
Examples:
  ci-bridge spool status -c ci-bridge.toml
  ci-bridge spool list --refused
  ci-bridge spool drain --seconds 300

Exit codes:
  0 done; 1 failed, or messages are left";

pub(crate) const QUARANTINE_LIST: &str = "\
Examples:
  ci-bridge quarantine list
  ci-bridge quarantine list --json | jq -r .id

Exit codes:
  0 done; 1 failed";

pub(crate) const QUARANTINE_SHOW: &str = "\
Examples:
  ci-bridge quarantine show 7
  ci-bridge quarantine show 7 | ci-bridge render -

Exit codes:
  0 done; 1 failed, or there is no such entry";

pub(crate) const QUARANTINE_REPLAY: &str = "\
Examples:
  ci-bridge quarantine replay 7 -c ci-bridge.toml
  ci-bridge quarantine replay --keep -c ci-bridge.toml

Exit codes:
  0 each was taken; 1 failed, or one was not taken";

pub(crate) const QUARANTINE_DELETE: &str = "\
Examples:
  ci-bridge quarantine delete 7 8
  ci-bridge quarantine delete --all --yes

Exit codes:
  0 done; 1 failed, or there is no such entry";

pub(crate) const QUARANTINE_EXPORT: &str = "\
Examples:
  ci-bridge quarantine export 7
  ci-bridge quarantine export -o quarantine.jsonl

Exit codes:
  0 done; 1 failed, or there is no such entry";

pub(crate) const SPOOL_STATUS: &str = "\
Examples:
  ci-bridge spool status -c ci-bridge.toml
  ci-bridge spool status --json | jq .messages

Exit codes:
  0 done; 1 failed";

pub(crate) const SPOOL_LIST: &str = "\
Examples:
  ci-bridge spool list --limit 20
  ci-bridge spool list --refused

Exit codes:
  0 done; 1 failed";

pub(crate) const SPOOL_SHOW: &str = "\
Examples:
  ci-bridge spool show task:j5d0e8a6c15d411f1b7a952540024deb5:Success

Exit codes:
  0 done; 1 failed, or no such message waits";

pub(crate) const SPOOL_DROP: &str = "\
Examples:
  ci-bridge spool drop task:j5d0e8a6c15d411f1b7a952540024deb5:Success
  ci-bridge spool drop --all --yes

Exit codes:
  0 done; 1 failed, or no such message waits";

pub(crate) const SPOOL_EXPORT: &str = "\
Examples:
  ci-bridge spool export -o spool.jsonl
  ci-bridge spool export --refused | jq .subject

Exit codes:
  0 done; 1 failed";

pub(crate) const SPOOL_DRAIN: &str = "\
Examples:
  ci-bridge spool drain -c ci-bridge.toml
  ci-bridge spool drain --seconds 300

Exit codes:
  0 the spool is empty; 1 failed, or messages are left";

pub(crate) const RECONCILE: &str = "\
Examples:
  ci-bridge reconcile --bucket examplebucket-1250000000@ap-beijing --dry-run
  ci-bridge reconcile --since 6h --json -c ci-bridge.toml

Exit codes:
  0 nothing is missing any more; 1 something is missing (--dry-run) or failed; 78 the configuration cannot be used";

pub(crate) const HEALTHCHECK: &str = "\
Examples:
  ci-bridge healthcheck -c /etc/ci-bridge/ci-bridge.toml
  ci-bridge healthcheck --check accepting

Exit codes:
  0 yes; 1 no, or no answer";

pub(crate) const DEMO: &str = "\
Examples:
  ci-bridge demo
  ci-bridge demo --keep";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  ci-bridge completions bash > /etc/bash_completion.d/ci-bridge
  ci-bridge completions zsh > ~/.zfunc/_ci-bridge
  ci-bridge completions fish > ~/.config/fish/completions/ci-bridge.fish";
