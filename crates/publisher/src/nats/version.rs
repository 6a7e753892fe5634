//! Versions of nats-server, as far as the bridge treats them differently.

/// Before this, a mirror compares `Nats-Expected-Stream` with its own name and refuses what it mirrors; on 2.9 a
/// stream with sources does too. Either loses the message downstream, unseen by whoever published it.
const MIRRORS_IGNORE_EXPECTED_STREAM: (u64, u64, u64) = (2, 11, 5);

/// Whether a server of this version can be sent `Nats-Expected-Stream`.
pub(super) fn may_name_stream(version: &str) -> bool {
    number(version).is_some_and(|version| version >= MIRRORS_IGNORE_EXPECTED_STREAM)
}

/// `2.11.5`, or `2.12.0-beta.1` as the release that it leads to.
fn number(version: &str) -> Option<(u64, u64, u64)> {
    let release = version.split(['-', '+']).next()?;
    let mut numbers = release.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::may_name_stream;

    #[test]
    fn the_stream_is_named_where_mirrors_ignore_it() {
        for version in ["2.11.5", "2.12.0", "2.15.1", "3.0.0", "v2.12.0", "2.12.0-beta.1", "2.100.0"] {
            assert!(may_name_stream(version), "{version}");
        }
        for version in ["2.9.10", "2.10.27", "2.11.4", "", "latest", "2.12"] {
            assert!(!may_name_stream(version), "{version}");
        }
    }
}
