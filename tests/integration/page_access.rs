//! Who may look at the page's API, and who may change something: tokens, sessions, other sites, and those who guess.

use crate::support::{Answer, Bridge, Events, LocalNats, eventually, nats, request, signal, task};

const TOKEN: &str = "[admin]\ntoken_file = \"admin-token\"\n";

fn with_token(nats: &LocalNats) -> Bridge {
    let bridge = Bridge::start(nats, "");
    std::fs::write(bridge.folder().join("admin-token"), "s3cret\n").unwrap();
    let bridge = bridge.kill_and_restart_with(TOKEN);
    bridge.wait_until_ready();
    bridge
}

fn ask(bridge: &Bridge, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(bridge.admin, method, &format!("/api/v1/{path}"), headers, b"")
}

/// Logs in as a browser does, and gives the cookie as it sends it back.
fn log_in(bridge: &Bridge) -> String {
    let headers = [("Authorization", "Bearer s3cret"), ("Sec-Fetch-Site", "same-origin")];
    let answer = ask(bridge, "POST", "session", &headers);
    assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("s3cret"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn reading_needs_the_token_where_there_is_one_and_a_session_stands_for_it() {
    let nats = nats();
    let bridge = with_token(&nats);
    bridge.post(task("j1"));
    assert_eq!(bridge.get("/").status, 200, "the page itself says nothing, and asks for the token");
    for path in ["status", "callbacks", "series", "events", "settings", "quarantine", "streams/CI/messages/1"]
    {
        let answer = ask(&bridge, "GET", path, &[]);
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{path}");
    }
    let cookie = log_in(&bridge);
    let cookie = [("Cookie", cookie.as_str())];
    for path in ["status", "callbacks", "series", "settings", "quarantine", "streams/CI/messages/1"] {
        assert_eq!(ask(&bridge, "GET", path, &cookie).status, 200, "{path}");
    }
    let may = ask(&bridge, "GET", "status", &cookie).json()["may"].clone();
    assert_eq!(may, serde_json::json!({ "bodies": true, "write": true }));
    let mut guess = cookie[0].1.to_owned();
    guess.pop();
    guess.push('_');
    assert_eq!(ask(&bridge, "GET", "status", &[("Cookie", &guess)]).status, 401);
    assert_eq!(ask(&bridge, "GET", "status", &[("Cookie", "ci-bridge-session=s3cret")]).status, 401);
}

#[test]
fn another_sites_page_changes_nothing() {
    let nats = nats();
    let bridge = with_token(&nats);
    bridge.post("<Response><Broken");
    let cookie = log_in(&bridge);
    let own = format!("http://{}", bridge.admin);
    let site = |headers: &[(&'static str, &str)]| {
        let headers: Vec<_> = headers.iter().copied().chain([("Cookie", cookie.as_str())]).collect();
        ["quarantine/1/replay", "session"].map(|path| {
            let method = if path == "session" { "DELETE" } else { "POST" };
            ask(&bridge, method, path, &headers).status
        })
    };
    assert_eq!(site(&[("Sec-Fetch-Site", "cross-site")]), [403, 403]);
    assert_eq!(site(&[("Sec-Fetch-Site", "same-site"), ("Origin", &own)]), [403, 403]);
    assert_eq!(site(&[("Origin", "http://evil.example")]), [403, 403]);
    assert_eq!(site(&[("Origin", "null")]), [403, 403]);
    assert_eq!(site(&[]), [403, 403]);
    // Nobody can be logged in by another site's page either.
    let headers = [("Authorization", "Bearer s3cret"), ("Origin", "http://evil.example")];
    assert_eq!(ask(&bridge, "POST", "session", &headers).status, 403);
    assert_eq!(site(&[("Origin", &own)]), [422, 204], "and our own is let through");
    assert_eq!(ask(&bridge, "GET", "status", &[("Cookie", &cookie)]).status, 401, "it has logged out");
}

#[test]
fn who_guesses_tokens_is_not_listened_to_for_a_while() {
    let nats = nats();
    let bridge = with_token(&nats);
    let guess =
        |token: &str| ask(&bridge, "POST", "session", &[("Authorization", &format!("Bearer {token}"))]);
    let statuses: Vec<_> = (0..12).map(|n| guess(&format!("guess{n}")).status).collect();
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat());
    let refused = guess("s3cret");
    assert_eq!(refused.status, 429);
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .is_ok_and(|seconds| (1..=60).contains(&seconds))
    );
    let lines = || bridge.log().matches("wrong tokens of the admin API").count();
    eventually("the log says so", || (lines() > 0).then_some(()));
    assert_eq!(lines(), 1);
    assert!(!bridge.log().contains("guess1"), "what was guessed may nearly be right");
    bridge.wait_until_ready();
}

#[test]
fn who_listens_does_so_for_as_long_as_the_session_lasts() {
    let nats = nats();
    let bridge = with_token(&nats);
    let cookie = log_in(&bridge);
    let mut by_cookie = Events::open(bridge.admin, "", &[("Cookie", &cookie)]).unwrap();
    let mut by_token = Events::open(bridge.admin, "", &[("Authorization", "Bearer s3cret")]).unwrap();
    let headers = [("Cookie", cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(ask(&bridge, "DELETE", "session", &headers).status, 204);
    while by_cookie.next().is_some() {}
    bridge.post(task("j1"));
    assert_eq!(by_token.callbacks(1).0[0]["job"], "j1");
    // Another token: the old one opens nothing, and what it opened ends.
    std::fs::write(bridge.folder().join("admin-token"), "another\n").unwrap();
    signal("HUP", bridge.id());
    while by_token.next().is_some() {}
    eventually("the new one counts", || {
        let answer = ask(&bridge, "GET", "status", &[("Authorization", "Bearer another")]);
        (answer.status == 200).then_some(())
    });
}

#[test]
fn without_a_token_nobody_logs_in_and_nothing_is_written() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    for (method, path) in [("POST", "session"), ("DELETE", "session"), ("POST", "quarantine/1/replay")] {
        let answer = ask(&bridge, method, path, &[("Authorization", "Bearer ")]);
        assert_eq!(answer.status, 403, "{method} {path}");
        assert!(answer.text().contains("[admin] token_file"), "{}", answer.text());
    }
    assert_eq!(ask(&bridge, "GET", "session", &[]).status, 405);
}
