//! `ci-bridge healthcheck`, as a container engine runs it.

use std::process::Output;

use crate::support::{Bridge, ci_bridge, nats};

/// Asks as from within the bridge's container: with the same file, and the same environment.
fn healthcheck(bridge: &Bridge, arguments: &[&str]) -> Output {
    let mut command = ci_bridge();
    command.arg("healthcheck").args(arguments).arg("-c").arg(bridge.folder().join("ci-bridge.toml"));
    command.env("CI_BRIDGE__ADMIN__LISTEN", bridge.admin.to_string()).output().expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_bridge_is_asked_for_its_health() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    for arguments in [&[][..], &["--ready"], &["--check", "accepting"], &["--check", "nats"]] {
        let output = healthcheck(&bridge, arguments);
        assert_eq!((output.status.code(), said(&output)), (Some(0), String::new()), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
    let file = bridge.folder().join("ci-bridge.toml");
    std::fs::write(&file, "[ingress]\nmax_bdy = 1\n").expect("a mistake in the file");
    assert_eq!(healthcheck(&bridge, &[]).status.code(), Some(0), "the bridge runs all the same");
}

#[test]
fn without_nats_it_is_alive_and_not_ready_with_the_reason() {
    let bridge = Bridge::start_towards("nats://127.0.0.1:1", "");
    assert_eq!(healthcheck(&bridge, &[]).status.code(), Some(0));
    // Whose spool takes callbacks.
    crate::support::eventually("accepting", || {
        (healthcheck(&bridge, &["--check", "accepting"]).status.code() == Some(0)).then_some(())
    });
    for arguments in [&["--ready"][..], &["--check", "nats"]] {
        let output = healthcheck(&bridge, arguments);
        assert_eq!(output.status.code(), Some(1));
        let said = said(&output);
        assert!(said.starts_with("ci-bridge: not ready: not connected to NATS"), "{said}");
    }
    let unknown = healthcheck(&bridge, &["--check", "natz"]);
    assert!(said(&unknown).contains("[possible values: nats, streams,"), "{}", said(&unknown));
}

#[test]
fn whatever_goes_wrong_is_exit_1_and_one_sentence() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    for (listen, expect) in [
        (silent.local_addr().expect("its address").to_string(), "does not answer within 3 s"),
        (bridge.address.to_string(), "/livez answers 40"),
        ("127.0.0.1:1".to_owned(), "does not answer: "),
        ("127.0.0.1:0".to_owned(), "port 0"),
        ("here".to_owned(), "admin.listen"),
    ] {
        let mut command = ci_bridge();
        let output =
            command.arg("healthcheck").env("CI_BRIDGE__ADMIN__LISTEN", &listen).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{listen}");
        let said = said(&output);
        assert!(said.contains(expect) && said.lines().count() == 1, "{listen}: {said}");
    }
}
