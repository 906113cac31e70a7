//! Reads `LOCAL_LLM_ENDPOINT`: the base of an OpenAI-compatible server, usually ending in `/v1`.

use super::SettingsError;
use crate::redact::{clean, keep_secret};

const ALLOWED: &str = "an http:// or https:// URL such as http://192.168.42.145:1234/v1";

/// The base URL without a trailing slash, whatever of the known paths was pasted with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: reqwest::Url,
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let refused = || SettingsError {
            field: "LOCAL_LLM_ENDPOINT",
            // Before an @ there may be a password, and without a scheme nothing else would know it.
            given: format!("\"{}\"", clean(text.rsplit('@').next().unwrap_or(text))),
            allowed: ALLOWED.into(),
        };
        let mut base = reqwest::Url::parse(text.trim()).map_err(|_| refused())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(refused());
        }
        if let Some(password) = base.password() {
            keep_secret(password);
        }
        let path = base.path().trim_end_matches('/');
        let path = path
            .trim_end_matches("/chat/completions")
            .trim_end_matches("/models")
            .to_owned();
        base.set_path(&path);
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { base })
    }

    /// `base` + `tail`, for instance `/models`.
    pub fn join(&self, tail: &str) -> reqwest::Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{tail}", self.base.path().trim_end_matches('/')));
        url
    }

    /// The same host with another path in front: `/v1` for who left it out.
    pub fn with_path(&self, path: &str) -> Self {
        let mut base = self.base.clone();
        base.set_path(path);
        Self { base }
    }

    pub fn has_path(&self) -> bool {
        self.base.path().len() > 1
    }

    /// The host is the machine itself.
    pub fn is_loopback(&self) -> bool {
        match self.base.host_str() {
            Some("localhost" | "[::1]") => true,
            Some(host) => host.starts_with("127."),
            None => false,
        }
    }

    /// For people: without user and password.
    pub fn label(&self) -> String {
        clean(self.base.as_str()).trim_end_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_people_paste_leads_to_the_same_base() {
        for text in [
            "http://h:1/v1",
            "http://h:1/v1/",
            " http://h:1/v1/chat/completions",
            "http://h:1/v1/models",
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.join("/models").as_str(), "http://h:1/v1/models");
        }
        let bare = Endpoint::parse("http://h:1").unwrap();
        assert!(!bare.has_path());
        assert_eq!(
            bare.with_path("/v1").join("/models").as_str(),
            "http://h:1/v1/models"
        );
    }

    #[test]
    fn the_machine_itself_is_recognised() {
        for text in [
            "http://localhost:1/v1",
            "http://127.0.0.1/v1",
            "http://[::1]:1234/v1",
        ] {
            assert!(Endpoint::parse(text).unwrap().is_loopback(), "{text}");
        }
        assert!(
            !Endpoint::parse("http://192.168.42.145:1234/v1")
                .unwrap()
                .is_loopback()
        );
    }

    #[test]
    fn what_is_no_url_is_refused_with_an_example() {
        for text in [
            "",
            "localhost:1234",
            "192.168.0.1",
            "ftp://h/v1",
            "http://",
            "not a url",
        ] {
            let refusal = Endpoint::parse(text).unwrap_err().to_string();
            assert!(
                refusal.contains("LOCAL_LLM_ENDPOINT") && refusal.contains("/v1"),
                "{refusal}"
            );
        }
    }
}
