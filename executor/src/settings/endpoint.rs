//! Reads `LOCAL_LLM_ENDPOINT`: the base of an OpenAI-compatible server, usually ending in `/v1`.

use percent_encoding::percent_decode_str;

use super::SettingsError;
use crate::redact::{Secret, clean};

const ALLOWED: &str = "an http:// or https:// URL such as http://192.168.42.145:1234/v1";

/// The base URL without a trailing slash, whatever of the known paths was pasted with it, and without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    base: reqwest::Url,
}

/// How we show who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    Bearer(Secret),
    /// User and password, as proxies want them.
    Basic(String, Secret),
}

impl Endpoint {
    /// The address, and what stood before its `@`: that is sent as a header and shown to nobody.
    pub fn parse(text: &str) -> Result<(Self, Option<Authorization>), SettingsError> {
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
        let authorization = authorization_in(&base);
        base.set_username("")
            .and_then(|()| base.set_password(None))
            .map_err(|()| refused())?;
        let path = base.path().trim_end_matches('/');
        let path = path
            .trim_end_matches("/chat/completions")
            .trim_end_matches("/models")
            .to_owned();
        base.set_path(&path);
        base.set_query(None);
        base.set_fragment(None);
        Ok((Self { base }, authorization))
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

    /// For people.
    pub fn label(&self) -> String {
        clean(self.base.as_str()).trim_end_matches('/').to_owned()
    }
}

/// `key@` or `user:password@`.
fn authorization_in(url: &reqwest::Url) -> Option<Authorization> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match (url.username(), url.password()) {
        ("", None) => None,
        (key, None) => Some(Authorization::Bearer(Secret::new(decoded(key)))),
        (user, Some(password)) => Some(Authorization::Basic(
            decoded(user),
            Secret::new(decoded(password)),
        )),
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
            let (endpoint, _) = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.join("/models").as_str(), "http://h:1/v1/models");
        }
        let (bare, _) = Endpoint::parse("http://h:1").unwrap();
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
            assert!(Endpoint::parse(text).unwrap().0.is_loopback(), "{text}");
        }
        assert!(
            !Endpoint::parse("http://192.168.42.145:1234/v1")
                .unwrap()
                .0
                .is_loopback()
        );
    }

    #[test]
    fn what_stands_before_the_host_becomes_a_header_and_is_in_no_url() {
        let (endpoint, key) = Endpoint::parse("http://sk-key%21@h:1/v1").unwrap();
        assert_eq!(key, Some(Authorization::Bearer(Secret::new("sk-key!"))));
        assert_eq!(endpoint.join("/models").as_str(), "http://h:1/v1/models");
        assert_eq!(endpoint.label(), "http://h:1/v1");
        let (endpoint, user) = Endpoint::parse("https://me:p%40ss-word@h/v1").unwrap();
        assert_eq!(
            user,
            Some(Authorization::Basic("me".into(), Secret::new("p@ss-word")))
        );
        assert_eq!(endpoint.label(), "https://h/v1");
        assert_eq!(Endpoint::parse("http://h/v1").unwrap().1, None);
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
