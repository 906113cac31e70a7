//! What there is: the levels of the pools, and jobs that nobody takes.

use super::remedy;
use super::report::{Finding, Report};
use crate::door::{Door, PoolLevel, QueueLevel};

/// POI pools are one per campaign: the first of them show what is wrong with all.
const POOLS_SHOWN: usize = 10;
/// A job that is due longer than this has nobody to do it.
const LONG_DUE: f64 = 600.0;

pub async fn check(door: &Door, report: &mut Report) {
    match door.pool_status().await {
        Ok(levels) => pools(&levels).iter().for_each(|finding| report.tell(finding)),
        Err(error) => report.tell(&remedy::finding("pools", &error, None)),
    }
    match door.queue_status().await {
        Ok(levels) => report.tell(&queue(&levels)),
        Err(error) => report.tell(&remedy::finding("queue", &error, None)),
    }
}

/// One line for all pools that are well, and one for each that is not.
fn pools(levels: &[PoolLevel]) -> Vec<Finding> {
    let (well, ill): (Vec<_>, Vec<_>) = levels.iter().partition(|level| level.level == "ok");
    let mut findings = Vec::new();
    if !well.is_empty() || ill.is_empty() {
        findings.push(Finding::ok("pools", full(&well)));
    }
    findings.extend(ill.iter().take(POOLS_SHOWN).map(|level| short(level)));
    if let Some(more) = ill.len().checked_sub(POOLS_SHOWN).filter(|more| *more > 0) {
        let text = format!("{more} more are low or empty");
        findings.push(Finding::warn(
            "pools",
            text,
            "SELECT * FROM content_pool_status WHERE level <> 'ok';",
        ));
    }
    findings
}

fn full(well: &[&PoolLevel]) -> String {
    if well.is_empty() {
        return "there is none".into();
    }
    let stock = well
        .iter()
        .take(POOLS_SHOWN)
        .map(|level| format!("{} {}", name(level), stock(level)));
    let more = if well.len() > POOLS_SHOWN { ", …" } else { "" };
    format!("{}{more}", stock.collect::<Vec<_>>().join(", "))
}

fn short(level: &PoolLevel) -> Finding {
    let failure = level
        .last_failure
        .as_ref()
        .map(|why| format!("; last failure: {why}"))
        .unwrap_or_default();
    let way = level.on_the_way;
    let text = format!(
        "{} is {}: {} available, {way} on the way{failure}",
        name(level),
        level.level,
        stock(level)
    );
    let remedy = match (&level.last_failure, way) {
        (Some(_), 0) => "remove the cause of the failure, then: SELECT schedule_pool_check();",
        (_, 0) => "SELECT schedule_pool_check(); and see that pg_worker_ext.refill is not off",
        _ => {
            "pg-worker-executor run, where none runs yet; SELECT * FROM worker_executors shows who is at work"
        }
    };
    Finding::warn("pool", text, remedy)
}

fn stock(level: &PoolLevel) -> String {
    format!("{} of {}", level.available, level.min_size)
}

fn name(level: &PoolLevel) -> String {
    match level.scope.as_deref() {
        None | Some("") => level.kind.clone(),
        Some(scope) => format!("{} of {scope}", level.kind),
    }
}

fn queue(levels: &[QueueLevel]) -> Finding {
    const NAME: &str = "queue";
    let of = |status: &'static str| levels.iter().filter(move |level| level.status == status);
    let jobs = |status| of(status).map(|level| level.jobs).sum::<i64>();
    let text = format!("{} pending, {} running", jobs("pending"), jobs("running"));
    let age = |level: &&QueueLevel| level.oldest_seconds.unwrap_or(0.0);
    let oldest = of("pending").max_by(|a, b| age(a).total_cmp(&age(b)));
    match oldest.map(|level| (age(&level), &level.job_type)) {
        Some((seconds, job_type)) if seconds > LONG_DUE => Finding::warn(
            NAME,
            format!(
                "{text}; the oldest ({job_type}) is due since {:.0} minutes",
                seconds / 60.0
            ),
            "pg-worker-executor run, where none runs yet; SELECT * FROM worker_executors shows who is at work",
        ),
        Some((seconds, _)) if seconds > 0.0 => {
            Finding::ok(NAME, format!("{text}; the oldest is due since {seconds:.0} s"))
        }
        _ => Finding::ok(NAME, text),
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
    fn full_pools_share_a_line_and_each_empty_one_has_its_own() {
        let found = pools(&[
            pool("quest", 20, "ok"),
            pool("npc", 12, "ok"),
            pool("poi", 0, "empty"),
        ]);
        assert_eq!(found[0], Finding::ok("pools", "quest 20 of 20, npc 12 of 20"));
        assert_eq!((found.len(), found[1].level), (2, Level::Warn));
        assert!(
            found[1]
                .text
                .contains("poi is empty: 0 of 20 available, 0 on the way")
        );
    }

    #[test]
    fn what_failed_last_and_what_is_coming_decide_the_remedy() {
        let failed = PoolLevel {
            last_failure: Some("no model".into()),
            ..pool("quest", 0, "empty")
        };
        let found = short(&failed);
        assert!(found.text.contains("no model") && found.remedy.unwrap().contains("cause"));
        let coming = PoolLevel {
            on_the_way: 20,
            scope: Some("abc".into()),
            ..failed
        };
        assert!(short(&coming).text.starts_with("quest of abc"));
        assert!(short(&coming).remedy.unwrap().contains("run"));
    }

    #[test]
    fn a_thousand_campaigns_are_a_few_lines() {
        let many: Vec<PoolLevel> = (0..1000).map(|_| pool("poi", 0, "low")).collect();
        let found = pools(&many);
        assert_eq!(found.len(), POOLS_SHOWN + 1);
        assert!(found[POOLS_SHOWN].text.contains("990 more"));
        assert_eq!(pools(&[])[0].level, Level::Ok);
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
