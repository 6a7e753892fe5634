//! Files for this user alone: the spool holds what senders wrote, and its store asks for no mode of its own.

use rustix::fs::Mode;

/// From now on every new file of this process is 0600, every new folder 0700. What is there stays as it is.
pub(super) fn from_now_on() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}
