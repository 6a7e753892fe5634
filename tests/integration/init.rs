//! `ci-bridge init`, completions, and the exit codes of all commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{ci_bridge, run};

fn init(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = ci_bridge().arg("init").args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_init_writes_is_a_good_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = init(folder.path(), &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let check = ci_bridge().args(["check", "-c", "ci-bridge.toml"]).current_dir(&folder).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let printed = init(folder.path(), &["-"]);
    assert_eq!(
        (printed.0, printed.1),
        (0, fs::read_to_string(folder.path().join("ci-bridge.toml")).unwrap())
    );
}

#[test]
fn a_key_that_init_comments_out_is_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let minimal = init(folder.path(), &["-"]).1;
    let keys: Vec<_> = minimal.lines().filter(|line| line.starts_with('#') && line.contains(" = ")).collect();
    assert!(keys.len() >= 5, "{keys:?}");
    // A file that is missing is found after a key that is unknown.
    let uncommented = minimal
        .replace("\n#", "\n")
        .lines()
        .filter(|l| l.contains(" = ") || l.starts_with('['))
        .collect::<Vec<_>>()
        .join("\n");
    fs::write(folder.path().join("all.toml"), uncommented).unwrap();
    let check = ci_bridge().args(["check", "-c", "all.toml"]).current_dir(&folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&check.stderr);
    assert!(!stderr.contains("unknown key"), "{stderr}");
}

#[test]
fn a_secret_is_for_its_owner_only_and_in_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, _) = init(folder.path(), &["bridge.toml", "--token"]);
    assert_eq!(code, 0, "{stdout}");
    let tokens = folder.path().join("bridge.tokens");
    assert_eq!(fs::metadata(&tokens).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(&tokens).unwrap();
    assert_eq!(secret.trim_end().len(), 64, "32 bytes in hexadecimal digits");
    assert!(!stdout.contains(secret.trim_end()), "{stdout}");
    assert!(!fs::read_to_string(folder.path().join("bridge.toml")).unwrap().contains(secret.trim_end()));
    // Wherever the bridge is started.
    let file = folder.path().join("bridge.toml");
    let check = run(&["check", "-c", file.to_str().unwrap()], b"");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    // No two are alike.
    init(folder.path(), &["other.toml", "--token"]);
    assert_ne!(fs::read_to_string(folder.path().join("other.tokens")).unwrap(), secret);
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    for taken in ["mine.toml", "mine.tokens"] {
        fs::write(folder.path().join(taken), "mine").unwrap();
        let (code, _, stderr) = init(folder.path(), &["mine.toml", "--token"]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains("it exists, and nothing is written over"), "{stderr}");
        let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [taken], "nothing else is left behind");
        assert_eq!(fs::read_to_string(folder.path().join(taken)).unwrap(), "mine");
        fs::remove_file(folder.path().join(taken)).unwrap();
    }
    let (code, _, stderr) = init(folder.path(), &["no/such/folder.toml"]);
    assert_eq!((code, stderr.contains("its folder does not exist")), (1, true), "{stderr}");
    let (code, _, stderr) = init(folder.path(), &["-", "--token"]);
    assert_eq!((code, stderr.contains("name one instead of `-`")), (1, true), "{stderr}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell], b"");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("quarantine") && text.contains("drop"), "{shell}");
    }
}

/// As the help of each command says.
#[test]
fn exit_codes_are_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // Nobody listens on port 1 of the loopback.
    let good =
        at("good.toml", "[nats]\nservers = [\"nats://127.0.0.1:1\"]\n[admin]\nlisten = \"127.0.0.1:1\"\n");
    let bad = at("bad.toml", "[ingress]\nlisten = 8080\n");
    let body = at(
        "body.xml",
        "<Response><JobsDetail><JobId>j1</JobId><Tag>T</Tag><State>Success</State></JobsDetail></Response>",
    );
    let cut = at("cut.xml", "<Response><JobsDetail>");
    let exists = at("exists.toml", "");
    let rows: &[(&[&str], i32)] = &[
        (&["--version"], 0),
        (&["--help"], 0),
        (&["serve", "--no-such-flag"], 2),
        (&["no-such-command"], 2),
        (&["serve", "-c", &bad], 78),
        (&["serve", "-c", "/no/such/file"], 78),
        (&["check", "-c", &good], 0),
        (&["check", "-c", &bad], 78),
        (&["check", "-c", &good, "--connect"], 78),
        (&["init", &exists], 1),
        (&["render", "-c", &good, &body], 0),
        (&["render", "-c", &good, &cut], 65),
        (&["render", "-c", &good, "/no/such/file"], 65),
        (&["render", "-c", &bad, &body], 78),
        (&["send", "--sample", "batch", "--url", "http://127.0.0.1:1/ci/callback"], 1),
        (&["send", "--url", "http://127.0.0.1:1/ci/callback"], 2),
        (&["schema", "task"], 0),
        (&["schema", "nonsense"], 2),
        (&["schema", "-c", &bad], 78),
        (&["quarantine", "list", "-c", &good], 1),
        (&["quarantine", "list", "-c", &bad], 78),
        (&["spool", "status", "-c", &bad], 78),
        (&["healthcheck", "-c", &good], 1),
        (&["completions", "bash"], 0),
        (&["completions", "nonsense"], 2),
    ];
    for (arguments, code) in rows {
        let output = ci_bridge().args(*arguments).current_dir(&folder).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {stderr}");
        assert!(*code != 0 || stderr.is_empty(), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty() || !output.stdout.is_empty(), "{arguments:?}: silence");
    }
}
