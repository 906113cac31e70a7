//! Writes one item and shows it. Nothing is leased, stored or counted.
//!
//! The item stands alone on stdout, so that it can be piped on; what a person wants to know besides
//! (who wrote it, from which prompt, why answers were rejected) goes to stderr.

pub mod trial;

use std::io::Write;
use std::process::ExitCode;

use self::trial::{NoItem, Trial, Written};
use super::Failure;
use crate::cli::Preview;
use crate::redact::clean;
use crate::settings::Options;

pub async fn preview(options: &Options, preview: &Preview) -> Result<ExitCode, Failure> {
    let (door, generator) = (super::door(options)?, super::generator(options, None)?);
    let kind = &preview.kind;
    tell(&match options.endpoint()? {
        Some(endpoint) => format!(
            "asking {} for one {kind}; a model that is not loaded yet may take minutes",
            endpoint.label()
        ),
        None => format!("one {kind} from built-in word lists, for LOCAL_LLM_ENDPOINT is not set"),
    });
    let trial = Trial {
        door: &door,
        generator: generator.as_ref(),
        kind,
        parameters: preview.parameters.as_ref(),
    };
    match trial.run(tell).await {
        Ok(written) => {
            tell(&account(&written));
            show(&written);
            Ok(ExitCode::SUCCESS)
        }
        Err(NoItem::Door(error)) => Err(error.into()),
        Err(other) => Err(Failure::Other(other.to_string())),
    }
}

fn tell(line: &str) {
    // A reader that went away is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{}", clean(line));
}

/// The item as it would be stored.
fn show(written: &Written) {
    let _ = writeln!(std::io::stdout(), "{:#}", written.item);
}

fn account(written: &Written) -> String {
    let tries = written.rejected.len() + 1;
    let tries = if tries == 1 {
        "the first try".into()
    } else {
        format!("try {tries}")
    };
    format!(
        "written by {} in {}, on {tries}; nothing was stored",
        written.draft.model,
        written.cost()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Draft;
    use crate::rejection::{Class, Rejection};
    use serde_json::json;

    #[test]
    fn the_account_says_who_how_long_and_how_often() {
        let draft = Draft {
            model: "m".into(),
            seconds: 2.0,
            completion_tokens: Some(60),
            ..Draft::default()
        };
        let mut written = Written {
            item: json!({}),
            draft,
            rejected: Vec::new(),
        };
        let text = account(&written);
        assert_eq!(
            text,
            "written by m in 2.0 s, 60 tokens (30 a second), on the first try; nothing was stored"
        );
        written.rejected.push(Rejection::new(Class::Schema, "x"));
        assert!(account(&written).contains("on try 2"));
    }
}
