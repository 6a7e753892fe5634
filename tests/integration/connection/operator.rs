//! An operator of the test's own: a nats-server that believes its JWTs, and users in `.creds` files.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

pub(crate) struct Operator {
    operator: KeyPair,
    account: KeyPair,
    system: KeyPair,
}

impl Operator {
    pub(crate) fn new() -> Self {
        let account = KeyPair::new_account;
        Self { operator: KeyPair::new_operator(), account: account(), system: account() }
    }

    /// What makes nats-server believe this operator.
    pub(crate) fn server_config(&self) -> String {
        let operator = jwt(&self.operator, &self.operator, 0, &json!({ "type": "operator" }));
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1
        });
        let no_jetstream = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1
        });
        let account = |key: &KeyPair, limits: &Value| {
            let claims = json!({ "type": "account", "limits": limits });
            format!("{}: {}", key.public_key(), jwt(&self.operator, key, 0, &claims))
        };
        format!(
            "operator: {operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{}\n{}\n}}",
            self.system.public_key(),
            account(&self.account, &limits),
            account(&self.system, &no_jetstream),
        )
    }

    /// A new user, as `nsc generate creds` writes it; `expires` is in seconds from now, and may be past.
    pub(crate) fn creds(&self, expires: i64) -> String {
        let user = KeyPair::new_user();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let claims = json!({ "type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(&self.account, &user, now + expires, &claims),
            user.seed().unwrap()
        )
    }
}

fn jwt(issuer: &KeyPair, subject: &KeyPair, expires: i64, nats: &Value) -> String {
    let mut nats = nats.clone();
    nats["version"] = json!(2);
    let claims = json!({
        "jti": "test", "iat": 1, "exp": expires, "name": "ci", "iss": issuer.public_key(),
        "sub": subject.public_key(), "nats": nats
    });
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(json!({ "typ": "JWT", "alg": "ed25519-nkey" })), encode(claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
