//! The identity of a pod in TKE, exchanged for temporary keys at STS.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use serde::Deserialize;

use super::{Keys, Variable};
use crate::error::Error;
use crate::wire::{NoAnswer, Origin, Wire};

/// Signs nothing: the identity's token is the proof.
pub(super) const STS: &str = "sts.tencentcloudapi.com";

/// How long keys are asked for, in seconds.
const LASTS: u32 = 7200;

/// What TKE puts into a pod whose service account has a role.
pub(super) struct WebIdentity {
    region: String,
    provider: String,
    token_file: PathBuf,
    role: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    credentials: Option<Exchanged>,
    #[serde(default)]
    expired_time: i64,
    error: Option<Refused>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exchanged {
    token: String,
    tmp_secret_id: String,
    tmp_secret_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    code: String,
    message: String,
}

impl WebIdentity {
    /// `None` outside TKE.
    pub(super) fn of_environment(variable: &Variable) -> Result<Option<Self>, Error> {
        let Some(token_file) = variable("TKE_WEB_IDENTITY_TOKEN_FILE") else { return Ok(None) };
        let needed = |name: &str| {
            let missing =
                || Error::Credentials(format!("{name} is not set, though TKE_WEB_IDENTITY_TOKEN_FILE is"));
            variable(name).ok_or_else(missing)
        };
        Ok(Some(Self {
            region: needed("TKE_REGION")?,
            provider: needed("TKE_PROVIDER_ID")?,
            role: needed("TKE_ROLE_ARN")?,
            token_file: token_file.into(),
        }))
    }

    /// The temporary keys that STS gives for it.
    pub(super) async fn exchange(&self, wire: &Wire, sts: &Origin, within: Duration) -> Result<Keys, Error> {
        let failed = |why: String| Error::Credentials(format!("{} of TKE: {why}", sts.host()));
        let unreadable = |e| failed(format!("{}: {e}", self.token_file.display()));
        // Read each time: the kubelet replaces it.
        let token = tokio::fs::read_to_string(&self.token_file).await.map_err(unreadable)?;
        let body = serde_json::json!({
            "ProviderId": self.provider,
            "WebIdentityToken": token.trim(),
            "RoleArn": self.role,
            "RoleSessionName": "ci-bridge",
            "DurationSeconds": LASTS,
        });
        let request = Request::post("/")
            .header(HOST, sts.host())
            .header(AUTHORIZATION, "SKIP")
            .header(CONTENT_TYPE, "application/json")
            .header("X-TC-Action", "AssumeRoleWithWebIdentity")
            .header("X-TC-Version", "2018-08-13")
            .header("X-TC-Region", &self.region)
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|_| failed("TKE_REGION is no region".to_owned()))?;
        let answered = wire.exchange(sts, request, within).await.map_err(|error| match error {
            NoAnswer::Unreachable(why) => failed(why),
            NoAnswer::TooLarge => failed("the answer is too large".to_owned()),
        })?;
        // Its own message may repeat what it could not read, and so a key.
        let answer: Answer = serde_json::from_slice(&answered.body)
            .map_err(|_| failed(format!("HTTP {}, and no answer of STS", answered.status)))?;
        match answer.response {
            Response { error: Some(Refused { code, message }), .. } => Err(failed(format!(
                "{code}: {message}; check the role of the pod's service account and its trust policy"
            ))),
            Response {
                credentials: Some(Exchanged { token, tmp_secret_id, tmp_secret_key }),
                expired_time,
                ..
            } => Ok(Keys::temporary(tmp_secret_id, tmp_secret_key, token, expired_time)),
            Response { .. } => Err(failed("the answer holds no keys".to_owned())),
        }
    }
}
