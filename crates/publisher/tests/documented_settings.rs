//! `docs/streams.md` says of a stream's settings what the bridge makes of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and says why")]

use ci_bridge_publisher::nats::judged_settings;

#[test]
fn the_documented_settings_are_those_that_are_judged() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/streams.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
            Some((cells.first()?.trim_end_matches('`').to_owned(), (*cells.get(2)?).to_owned()))
        })
        .filter(|(_, verdict)| ["unfit", "weaker", "note"].contains(&verdict.as_str()))
        .collect();
    let judged: Vec<_> = judged_settings()
        .into_iter()
        .map(|(setting, verdict)| (setting.to_owned(), verdict.as_str().to_owned()))
        .collect();
    assert_eq!(documented, judged);
}
