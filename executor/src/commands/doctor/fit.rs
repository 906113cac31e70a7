//! Whether place and model server fit the work: an address that means something else inside of a
//! container, and a context that is too small for the longest item.

use std::path::Path;

use serde_json::{Value, json};
use uuid::Uuid;

use super::report::Finding;
use crate::door::{BatchEstimate, Door, Order};
use crate::generator::{Ask, Host};
use crate::settings::Endpoint;

pub const LARGER_CONTEXT: &str =
    "give the server a larger context (llama-server divides --ctx-size by --parallel), or fewer slots";
/// What container engines leave inside of every container.
const MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// What to add to the remedy where a model host that cannot be reached is this machine, and this
/// machine is a container.
pub fn loopback_remedy(endpoint: &Endpoint) -> Option<&'static str> {
    let inside = MARKS.iter().any(|mark| Path::new(mark).exists());
    (inside && endpoint.is_loopback()).then_some(
        " This is a container, and the address is the container itself: name the machine that it runs on, \
         host.containers.internal (podman), host.docker.internal (Docker Desktop) or its address in the network",
    )
}

/// Does the longest item fit? Only where the server tells its context.
pub async fn context(door: &Door, host: &Host) -> Option<Finding> {
    let context = host.context?;
    let mut longest: Option<(String, usize)> = None;
    let pools = door.pool_status().await.ok()?.into_iter();
    let kinds = pools.map(|pool| (pool.kind, None)).chain([conversation()]);
    for (kind, parameters) in kinds {
        // Not every kind is here, nor can each be tried without parameters; those are not the longest.
        let Ok(order) = door.preview_item(&kind, parameters.as_ref(), 0).await else {
            continue;
        };
        let needed = needed(&order);
        if longest.as_ref().is_none_or(|(_, most)| needed > *most) {
            longest = Some((kind, needed));
        }
    }
    let (kind, needed) = longest?;
    Some(judged(context, &kind, needed))
}

/// What a summary is asked for: as many messages as it takes by default, of usual length.
fn conversation() -> (String, Option<Value>) {
    let message = json!({"role": "dm", "content": "x".repeat(250)});
    let parameters = json!({"character_id": Uuid::nil(), "messages": vec![message; 30]});
    ("session_summary".into(), Some(parameters))
}

fn needed(order: &Order) -> usize {
    Ask::from_order(order).tokens()
}

fn judged(context: usize, kind: &str, needed: usize) -> Finding {
    const NAME: &str = "context";
    let text = format!("{context} tokens a request; the longest item ({kind}) needs up to {needed}");
    if context >= needed {
        return Finding::ok(NAME, text);
    }
    Finding::warn(NAME, text, LARGER_CONTEXT)
}

/// How long batches take at the speed that the sample showed, beside the guide's figures.
pub async fn batches(door: &Door, tokens_per_second: f64) -> Option<Finding> {
    let estimates = door.batch_estimates(tokens_per_second).await.ok()?;
    Some(Finding::ok("batches", told(tokens_per_second, &estimates)))
}

fn told(tokens_per_second: f64, estimates: &[BatchEstimate]) -> String {
    let batches = estimates.iter().filter_map(|estimate| {
        let guide = estimate
            .guide_seconds
            .as_ref()
            .map(|guide| format!(" (guide: {guide} s)"));
        let (items, kind, seconds) = (estimate.items, &estimate.kind, estimate.seconds?);
        Some(format!(
            "{items} {kind} in about {seconds:.0} s{}",
            guide.unwrap_or_default()
        ))
    });
    format!(
        "at {tokens_per_second:.0} tokens a second, one request at a time: {}",
        batches.collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn batches_stand_beside_the_guides() {
        let quest = BatchEstimate {
            kind: "quest".into(),
            items: 10,
            seconds: Some(90.9),
            guide_seconds: Some("60–90".into()),
        };
        let place = BatchEstimate {
            kind: "poi".into(),
            guide_seconds: None,
            ..quest.clone()
        };
        assert_eq!(
            told(33.0, &[quest, place]),
            "at 33 tokens a second, one request at a time: 10 quest in about 91 s (guide: 60–90 s), 10 poi in about 91 s"
        );
    }

    #[test]
    fn a_context_that_is_too_small_is_a_warning() {
        assert_eq!(judged(4096, "dungeon", 2500).level, Level::Ok);
        let small = judged(2048, "dungeon", 2500);
        assert_eq!(small.level, Level::Warn);
        assert!(
            small.text.contains("2048") && small.text.contains("dungeon"),
            "{}",
            small.text
        );
    }
}
