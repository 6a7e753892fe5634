//! Which of several bridges this one is.

/// `<host>:<process id>`, for `nats micro info` and for traces; in Kubernetes the host's name is the pod's.
pub(crate) fn name() -> String {
    format!("{}:{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}
