//! The model's part: is the host reached, which model is asked for, and does what it writes pass the
//! same checks as an item of a job.

use tokio::time::Instant;

use super::report::{Finding, Report};
use super::{fit, remedy};
use crate::commands;
use crate::commands::preview::trial::{NoItem, Trial, Written};
use crate::door::Door;
use crate::generator::{Builtin, Cause, Generator, Host};
use crate::rejection::{Class, Rejection};
use crate::settings::Options;

const EXAMPLE: &str = "LOCAL_LLM_ENDPOINT=http://192.168.42.145:1234/v1";
/// Ready without any parameter, and the most usual of all.
const SAMPLE: &str = "quest";
const MODELS_SHOWN: usize = 8;

/// Who would write; None when nobody can.
pub async fn check(options: &Options, report: &mut Report) -> Option<(Box<dyn Generator>, Host)> {
    const NAME: &str = "endpoint";
    let (llm, addition) = match (commands::llm(options, None), options.endpoint()) {
        (Ok(Some(llm)), Ok(Some(endpoint))) => {
            report.tell(&Finding::ok(NAME, endpoint.label()));
            (llm, fit::loopback_remedy(&endpoint))
        }
        (Err(failure), _) => {
            report.tell(&Finding::fail(
                NAME,
                failure.to_string(),
                format!("set it as in {EXAMPLE}"),
            ));
            return None;
        }
        _ => {
            let text = "LOCAL_LLM_ENDPOINT is not set: items come from built-in word lists, no model writes";
            report.tell(&Finding::warn(
                NAME,
                text,
                format!("when there is a model server: {EXAMPLE}"),
            ));
            return Some((Box::new(Builtin), Host::default()));
        }
    };
    let sent = Instant::now();
    match llm.probe(None, false).await {
        Ok(host) => {
            report.tell(&Finding::ok("model host", answers(&host, sent)));
            report.tell(&model(&llm.models(), options.model().as_deref(), &host));
            Some((Box::new(llm), host))
        }
        Err(trouble) => {
            // A host that answers is the right one, wherever it is.
            let nobody = matches!(trouble.cause, Cause::Unreachable | Cause::Silent);
            let addition = addition.filter(|_| nobody).unwrap_or_default();
            let remedy = format!("{}{addition}", host_remedy(trouble.cause));
            report.tell(&Finding::fail("model host", trouble.reason, remedy));
            None
        }
    }
}

fn answers(host: &Host, sent: Instant) -> String {
    let slots = host
        .slots
        .map(|slots| format!(", {slots} requests at once"))
        .unwrap_or_default();
    format!("answers in {} ms{slots}", sent.elapsed().as_millis())
}

fn host_remedy(cause: Cause) -> &'static str {
    match cause {
        Cause::Unreachable | Cause::Silent => {
            "does it run, and does it listen on the network (LM Studio: Serve on Local Network; llama-server: --host \
             0.0.0.0; Ollama: OLLAMA_HOST=0.0.0.0)?"
        }
        Cause::NoModel => "load a model there, or name one in LOCAL_LLM_MODEL",
        Cause::Key => "set LOCAL_LLM_API_KEY to the key that the server wants",
        Cause::NotFound => "LOCAL_LLM_ENDPOINT usually ends in /v1; curl that address with /models behind it",
        Cause::Busy | Cause::Loading => {
            "it is busy or loads its model: wait. Until it answers jobs are given back, and no attempt is charged"
        }
        Cause::Elsewhere => {
            "put the address that it names into LOCAL_LLM_ENDPOINT: redirects are not followed"
        }
        Cause::Broken | Cause::Other => "see what the model server itself logs",
    }
}

fn model(listed: &[String], wanted: Option<&str>, host: &Host) -> Finding {
    const NAME: &str = "model";
    let used = host.model.as_deref().unwrap_or("(none)");
    let mut list = listed
        .iter()
        .take(MODELS_SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if listed.len() > MODELS_SHOWN {
        list.push_str(", …");
    }
    match wanted {
        Some(wanted) if listed.is_empty() => Finding::ok(NAME, format!("{wanted}; the server lists none")),
        Some(wanted) if !listed.iter().any(|name| name == wanted) => Finding::warn(
            NAME,
            format!("{wanted}, which the server does not list; it has {list}"),
            "set LOCAL_LLM_MODEL to one of these, or leave it out",
        ),
        _ if listed.len() > 1 => Finding::ok(NAME, format!("{used}, of {list}")),
        _ => Finding::ok(NAME, used),
    }
}

/// One item written and checked like one of a job; nothing is stored. Also tokens a second, where they
/// are counted.
pub async fn sample(door: &Door, generator: &dyn Generator) -> (Finding, Option<f64>) {
    let trial = Trial {
        door,
        generator,
        kind: SAMPLE,
        parameters: None,
    };
    let outcome = trial.run(|_| ()).await;
    let speed = outcome.as_ref().ok().and_then(Written::tokens_per_second);
    (judged(outcome, generator.name()), speed)
}

fn judged(outcome: Result<Written, NoItem>, generator: &str) -> Finding {
    const NAME: &str = "sample";
    match outcome {
        Ok(written) => {
            let title = written.item["title"].as_str().unwrap_or_default();
            let cost = if generator == "builtin" {
                "built-in word lists".into()
            } else {
                written.cost()
            };
            let text = format!("a {SAMPLE} that passes all checks ({cost}): \"{title}\"");
            match written.rejected.last() {
                None => Finding::ok(NAME, text),
                Some(last) => Finding::warn(
                    NAME,
                    format!(
                        "{text}; {} before it did not: {}",
                        written.rejected.len(),
                        last.reason
                    ),
                    advice(last),
                ),
            }
        }
        Err(NoItem::Door(error)) => remedy::finding(NAME, &error, None),
        Err(NoItem::Rejected(last)) => {
            let text = NoItem::Rejected(last.clone()).to_string();
            Finding::fail(NAME, text, advice(&last))
        }
        Err(NoItem::Host(trouble)) => Finding::fail(NAME, trouble.reason, host_remedy(trouble.cause)),
        Err(other @ NoItem::Context(_)) => Finding::fail(NAME, other.to_string(), fit::LARGER_CONTEXT),
        Err(other @ NoItem::Kind(_)) => {
            Finding::fail(NAME, other.to_string(), "see what the model server itself logs")
        }
    }
}

fn advice(rejection: &Rejection) -> &'static str {
    match rejection.class {
        Class::Truncated | Class::Empty => {
            "give the model a larger context in the server, switch thinking off there, or raise max_tokens: \
             UPDATE content_pools SET max_tokens = 2000 WHERE kind = 'quest';"
        }
        Class::Timeout | Class::Error => {
            "see what the model server itself logs; a slow one is given more time by WORKER_FIRST_TOKEN_TIMEOUT, \
             WORKER_TOKEN_TIMEOUT and WORKER_ITEM_TIMEOUT"
        }
        Class::NotJson | Class::Schema => {
            "the server seems not to obey the JSON Schema: update it, or take an instruction model (8B is enough)"
        }
        Class::Rules => {
            "each rejection costs a whole answer: a better model, or another prompt in content_pools, may help"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;
    use crate::generator::Draft;
    use serde_json::json;

    fn written(rejected: Vec<Rejection>) -> Written {
        let draft = Draft {
            seconds: 4.0,
            completion_tokens: Some(400),
            ..Draft::default()
        };
        Written {
            item: json!({"title": "The Bell"}),
            draft,
            rejected,
        }
    }

    fn rejection(class: Class) -> Rejection {
        Rejection::new(class, "why")
    }

    #[test]
    fn a_sample_tells_the_speed_and_what_went_wrong_before() {
        let good = judged(Ok(written(Vec::new())), "llm");
        assert_eq!(good.level, Level::Ok);
        assert!(
            good.text.contains("100 a second") && good.text.contains("The Bell"),
            "{}",
            good.text
        );
        let late = judged(Ok(written(vec![rejection(Class::Schema)])), "llm");
        assert_eq!(late.level, Level::Warn);
        let none = judged(Err(NoItem::Rejected(rejection(Class::Truncated))), "llm");
        assert_eq!(none.level, Level::Fail);
        assert!(none.remedy.unwrap().contains("max_tokens"));
    }

    #[test]
    fn a_context_that_is_too_small_is_made_larger_and_not_looked_for_in_a_log() {
        let found = judged(
            Err(NoItem::Context("the model's context is too small".into())),
            "llm",
        );
        assert!(found.remedy.unwrap().contains("--ctx-size"));
    }

    #[test]
    fn a_model_that_is_not_listed_is_a_warning() {
        let listed = ["a".to_owned(), "b".to_owned()];
        let host = Host {
            model: Some("a".into()),
            ..Host::default()
        };
        assert_eq!(model(&listed, None, &host).text, "a, of a, b");
        assert_eq!(model(&listed, Some("c"), &host).level, Level::Warn);
        assert_eq!(model(&[], Some("c"), &host).level, Level::Ok);
        let many: Vec<String> = (0..20).map(|number| format!("m{number}")).collect();
        assert!(model(&many, None, &host).text.ends_with("m7, …"));
    }
}
