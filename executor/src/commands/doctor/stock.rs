//! What there is: the levels of the pools, and jobs that nobody takes.

use super::remedy;
use super::report::{Finding, Report};
use crate::door::{Door, PoolLevel, QueueLevel};

/// POI pools are one per campaign: the first of them show what is wrong with all.
const SHOWN: usize = 10;
/// A job that is due longer than this has nobody to do it.
const LONG_DUE: f64 = 600.0;
const NAME: &str = "pools";
const QUEUE: &str = "queue";
const START: &str =
    "pg-worker-executor run, where none runs yet; SELECT * FROM worker_executors shows who is at work";
const ASK: &str = "SELECT schedule_pool_check(); and see that pg_worker_ext.refill is not off";
const ALL_FAILED: &str = "SELECT * FROM content_pool_status WHERE last_failure IS NOT NULL;";

pub async fn check(door: &Door, report: &mut Report) {
    match door.pool_status().await {
        Ok(levels) => pools(&levels).iter().for_each(|finding| report.tell(finding)),
        Err(error) => report.tell(&remedy::finding(NAME, &error, None)),
    }
    match door.queue_status().await {
        Ok(levels) => report.tell(&queue(&levels)),
        Err(error) => report.tell(&remedy::finding(QUEUE, &error, None)),
    }
}

/// One line for all pools that are well, one for all that wait for the same, and one for each that
/// failed.
fn pools(levels: &[PoolLevel]) -> Vec<Finding> {
    if levels.is_empty() {
        return vec![Finding::ok(NAME, "there is none")];
    }
    let (well, ill): (Vec<_>, Vec<_>) = levels.iter().partition(|level| level.level == "ok");
    let (failed, waiting): (Vec<_>, Vec<_>) = ill.into_iter().partition(|level| level.last_failure.is_some());
    let (coming, forgotten): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|level| level.on_the_way > 0);
    let lines = [
        list(&well).map(|list| Finding::ok(NAME, list)),
        list(&coming).map(|list| Finding::warn(NAME, format!("low, but on the way: {list}"), START)),
        list(&forgotten).map(|list| Finding::warn(NAME, format!("low: {list}"), ASK)),
    ];
    lines.into_iter().flatten().chain(failures(&failed)).collect()
}

fn failures(failed: &[&PoolLevel]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = failed.iter().take(SHOWN).map(|level| failing(level)).collect();
    if failed.len() > SHOWN {
        let text = format!("{} more have failed", failed.len() - SHOWN);
        findings.push(Finding::warn(NAME, text, ALL_FAILED));
    }
    findings
}

fn failing(level: &PoolLevel) -> Finding {
    let why = level.last_failure.as_deref().unwrap_or_default();
    let text = format!(
        "{} is {}: {}; last failure: {why}",
        name(level),
        level.level,
        stock(level)
    );
    Finding::warn(
        NAME,
        text,
        "remove the cause of the failure, then: SELECT schedule_pool_check();",
    )
}

/// None for no pools.
fn list(levels: &[&PoolLevel]) -> Option<String> {
    let shown = levels
        .iter()
        .take(SHOWN)
        .map(|level| format!("{} {}", name(level), stock(level)));
    let more = if levels.len() > SHOWN { ", …" } else { "" };
    (!levels.is_empty()).then(|| format!("{}{more}", shown.collect::<Vec<_>>().join(", ")))
}

fn stock(level: &PoolLevel) -> String {
    let coming = if level.on_the_way > 0 {
        format!(" (+{})", level.on_the_way)
    } else {
        String::new()
    };
    format!("{} of {}{coming}", level.available, level.min_size)
}

fn name(level: &PoolLevel) -> String {
    match level.scope.as_deref() {
        None | Some("") => level.kind.clone(),
        Some(scope) => format!("{} of {scope}", level.kind),
    }
}

fn queue(levels: &[QueueLevel]) -> Finding {
    let of = |status: &'static str| levels.iter().filter(move |level| level.status == status);
    let jobs = |status| of(status).map(|level| level.jobs).sum::<i64>();
    let text = format!("{} pending, {} running", jobs("pending"), jobs("running"));
    let age = |level: &&QueueLevel| level.oldest_seconds.unwrap_or(0.0);
    let oldest = of("pending").max_by(|a, b| age(a).total_cmp(&age(b)));
    match oldest.map(|level| (age(&level), &level.job_type)) {
        Some((seconds, job_type)) if seconds > LONG_DUE => Finding::warn(
            QUEUE,
            format!(
                "{text}; the oldest ({job_type}) is due since {:.0} minutes",
                seconds / 60.0
            ),
            START,
        ),
        Some((seconds, _)) if seconds > 0.0 => {
            Finding::ok(QUEUE, format!("{text}; the oldest is due since {seconds:.0} s"))
        }
        _ => Finding::ok(QUEUE, text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn pool(kind: &str, available: i64, level: &str) -> PoolLevel {
        PoolLevel {
            kind: kind.into(),
            scope: None,
            available,
            min_size: 20,
            on_the_way: 0,
            level: level.into(),
            last_failure: None,
        }
    }

    #[test]
    fn pools_that_need_the_same_share_a_line() {
        let coming = PoolLevel {
            on_the_way: 15,
            ..pool("dungeon", 5, "low")
        };
        let levels = [
            pool("quest", 20, "ok"),
            pool("npc", 12, "ok"),
            pool("poi", 0, "empty"),
            coming,
        ];
        let found = pools(&levels);
        let texts: Vec<&str> = found.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "quest 20 of 20, npc 12 of 20",
                "low, but on the way: dungeon 5 of 20 (+15)",
                "low: poi 0 of 20"
            ]
        );
        assert_eq!((found[0].level, found[1].level), (Level::Ok, Level::Warn));
        assert_eq!(pools(&[])[0].text, "there is none");
    }

    #[test]
    fn what_failed_is_told_with_its_reason() {
        let failed = PoolLevel {
            last_failure: Some("no model".into()),
            scope: Some("abc".into()),
            ..pool("poi", 0, "empty")
        };
        let found = pools(&[failed]);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].text,
            "poi of abc is empty: 0 of 20; last failure: no model"
        );
    }

    #[test]
    fn a_thousand_campaigns_are_a_few_lines() {
        let failed = |_| PoolLevel {
            last_failure: Some("no model".into()),
            ..pool("poi", 0, "low")
        };
        let found = pools(&(0..1000).map(failed).collect::<Vec<_>>());
        assert_eq!(found.len(), SHOWN + 1);
        assert_eq!(found[SHOWN].text, "990 more have failed");
        let many: Vec<PoolLevel> = (0..1000).map(|_| pool("poi", 0, "low")).collect();
        assert!(pools(&many)[0].text.len() < 300);
    }

    #[test]
    fn only_a_job_that_is_long_due_is_a_warning() {
        let job = |status: &str, seconds| QueueLevel {
            job_type: "generate_quests".into(),
            status: status.into(),
            jobs: 2,
            oldest_seconds: Some(seconds),
        };
        assert_eq!(queue(&[]).text, "0 pending, 0 running");
        assert_eq!(
            queue(&[job("pending", 590.0), job("running", 9000.0)]).level,
            Level::Ok
        );
        let late = queue(&[job("pending", 1500.0), job("pending", 3.0)]);
        assert_eq!(late.level, Level::Warn);
        assert!(late.text.contains("25 minutes") && late.text.contains("generate_quests"));
    }
}
