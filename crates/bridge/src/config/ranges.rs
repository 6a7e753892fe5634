//! Values that are well-formed but make no sense, alone or together.

use std::time::Duration;

use ci_bridge_publisher::Delivery;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::Config;
use super::problems::Problems;

/// What is left of the deadline to write the answer.
pub(super) const ANSWER_TIME: Duration = Duration::from_millis(250);
/// Parsing and normalising recurse a few times a level; this is far from a thread's stack, and further from any real callback.
const DEEPEST: usize = 256;

/// Far more cores than one connection to NATS could keep busy.
const MOST_THREADS: usize = 64;

/// Tencent's longest names have some 40 bytes.
const LONGEST_NAME: u64 = 64;

impl Problems {
    pub(super) fn ranges(&mut self, config: &Config) {
        let ingress = &config.ingress;
        for (key, value) in [
            ("ingress.threads", ingress.threads),
            ("ingress.max_connections", ingress.max_connections),
            ("ingress.max_in_flight", ingress.max_in_flight),
            ("ingress.max_headers", ingress.max_headers),
            ("ingress.max_depth", ingress.max_depth),
            ("ingress.max_nodes", ingress.max_nodes),
            ("ingress.max_jobs", ingress.max_jobs),
            ("jetstream.replicas", config.jetstream.replicas),
        ] {
            if value == 0 {
                self.add(key, "must be at least 1");
            }
        }
        if ingress.threads > MOST_THREADS {
            self.add(
                "ingress.threads",
                format!("must be at most {MOST_THREADS}: more than cores help nobody"),
            );
        }
        if ingress.max_streams == 0 {
            self.add("ingress.max_streams", "must be at least 1");
        }
        if ingress.max_bytes_in_flight < ingress.max_body {
            self.add("ingress.max_bytes_in_flight", "must hold at least one body (ingress.max_body)");
        }
        if ingress.handshake_timeout.get().is_zero() {
            self.add("ingress.handshake_timeout", "must be more than 0");
        }
        let level = config.log.level.as_str();
        // EnvFilter would take a misspelt level for the name of a module.
        let is_word = !level.contains(['=', ',', '[']);
        if EnvFilter::try_new(level).is_err() || is_word && level.parse::<LevelFilter>().is_err() {
            self.add("log.level", format!("{level:?} is no level: use error, warn, info, debug or trace"));
        }
        if ingress.max_name_bytes.bytes() < LONGEST_NAME {
            self.add(
                "ingress.max_name_bytes",
                format!("must be at least {LONGEST_NAME}B, or Tencent's own names are refused"),
            );
        }
        if ingress.max_depth > DEEPEST {
            self.add("ingress.max_depth", format!("must be at most {DEEPEST}"));
        }
        if config.spool.enabled && config.spool.max_bytes.bytes() < ingress.max_body.bytes() {
            self.add("spool.max_bytes", "must hold at least one body (ingress.max_body)");
        }
        if config.spool.enabled && config.spool.dir.as_os_str().is_empty() {
            self.add("spool.dir", "name a folder that survives a restart, or set spool.enabled = false");
        }
        if ingress.max_body.bytes() == 0 {
            self.add(
                "ingress.max_body",
                "must be more than 0: callbacks have some kilobytes, moderation some hundred",
            );
        }
        if config.nats.ack_timeout.get() + ANSWER_TIME > ingress.deadline.get() {
            self.add("nats.ack_timeout", "must leave 250ms of ingress.deadline to answer in");
        }
        if ingress.listen == config.admin.listen && ingress.listen.port() != 0 {
            self.add("admin.listen", "ingress.listen has the same address: give one another port");
        }
        let jetstream = &config.jetstream;
        let (domain, prefix) = (jetstream.domain.as_str(), jetstream.api_prefix.as_str());
        if !domain.is_empty() && !prefix.is_empty() {
            self.add("jetstream.api_prefix", "says where the API is, as jetstream.domain does: choose one");
        }
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
        let is_subject = |text: &str| text.split('.').all(|word| !word.is_empty() && !word.contains(is_bad));
        if !prefix.is_empty() && !is_subject(prefix) {
            self.add(
                "jetstream.api_prefix",
                "must be words and dots between, such as \"JS.acme\", without wildcards, blanks or a dot at the end",
            );
        }
        if !domain.is_empty() && (!is_subject(domain) || domain.contains('.')) {
            self.add("jetstream.domain", "must be one word, without dots, wildcards or blanks");
        }
        for (key, patterns) in [
            ("jetstream.subjects", &jetstream.subjects),
            ("jetstream.quarantine.subjects", &jetstream.quarantine.subjects),
        ] {
            for pattern in patterns.iter().filter(|pattern| !is_pattern(pattern)) {
                self.add(
                    key,
                    format!("{pattern:?} is no pattern of subjects: write words and dots between, such as \"ci.>\", without blanks"),
                );
            }
        }
        if jetstream.max_age.get() > Duration::ZERO && jetstream.duplicate_window > jetstream.max_age {
            self.add("jetstream.duplicate_window", "must not be longer than jetstream.max_age");
        }
        for (key, name) in [
            ("jetstream.stream", &jetstream.stream),
            ("jetstream.quarantine.stream", &jetstream.quarantine.stream),
            ("jetstream.large.bucket", &jetstream.large.bucket),
        ] {
            if name.is_empty() || name.contains(['.', '*', '>', ' ', '\t', '/', '\\']) {
                self.add(key, "name it otherwise: a stream's name is not empty and holds no '.', '*', '>', '/', '\\' or blank");
            }
        }
        if config.delivery == Delivery::Jetstream && jetstream.stream == jetstream.quarantine.stream {
            self.add(
                "jetstream.quarantine.stream",
                "a flood of garbage would push events out of a shared stream: name another",
            );
        }
    }
}

/// Words with dots between; `*` is any word, and `>` at the end any number of them.
fn is_pattern(text: &str) -> bool {
    let words: Vec<_> = text.split('.').collect();
    words.iter().enumerate().all(|(at, word)| match *word {
        "*" => true,
        ">" => at + 1 == words.len(),
        word => {
            let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
            !word.is_empty() && !word.contains(is_bad)
        }
    })
}
