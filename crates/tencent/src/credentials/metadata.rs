//! The role of a CVM: temporary keys from the metadata service of the machine.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::HOST;
use serde::Deserialize;

use super::Keys;
use crate::error::Error;
use crate::wire::{Answered, Origin, Wire};

/// Answers on each CVM, for that machine alone.
pub(super) const HOST_OF_METADATA: &str = "metadata.tencentyun.com";

const PATH: &str = "/latest/meta-data/cam/security-credentials/";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    code: String,
    #[serde(default)]
    tmp_secret_id: String,
    #[serde(default)]
    tmp_secret_key: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    expired_time: i64,
}

/// The keys of the machine's role.
pub(super) async fn keys(wire: &Wire, origin: &Origin, within: Duration) -> Result<Keys, Error> {
    let nothing = |why: &str| {
        Error::Credentials(format!(
            "there is no [tencent] credentials_file, no TENCENTCLOUD_SECRET_ID, no identity of TKE, and {why}"
        ))
    };
    let ask = async |path: String| {
        let request = Request::get(path).header(HOST, origin.host()).body(Full::new(Bytes::new())).ok()?;
        match wire.exchange(origin, request, within).await {
            Ok(Answered { status: 200, body, .. }) => Some(body),
            _ => None,
        }
    };
    let listed = ask(PATH.to_owned()).await.ok_or_else(|| nothing("this is no CVM with a role"))?;
    let role = std::str::from_utf8(&listed).unwrap_or_default().lines().next().unwrap_or_default().trim();
    if role.is_empty() || role.contains(|c: char| !c.is_ascii_graphic() || c == '/') {
        return Err(nothing("this CVM has no role: attach one, or set a key"));
    }
    let answer = ask(format!("{PATH}{role}")).await.ok_or_else(|| nothing("the CVM's role gives no keys"))?;
    match serde_json::from_slice::<Answer>(&answer) {
        Ok(Answer { code, tmp_secret_id, tmp_secret_key, token, expired_time })
            if code == "Success" && !tmp_secret_id.is_empty() && !tmp_secret_key.is_empty() =>
        {
            Ok(Keys::temporary(tmp_secret_id, tmp_secret_key, token, expired_time))
        }
        _ => Err(nothing("the CVM's role gives no keys")),
    }
}
