//! Bad input at the SQL doors: 22023 with the field, what was given and what is allowed, and nothing changed.

mod executor;
mod game;
mod nulls;

use pg_worker_tests::Session;

/// Everything that a refused call could have changed, as one text.
const STATE: &str = "select concat_ws(' | ',
    (select string_agg(j::text, ',' order by j.id) from worker_jobs j),
    (select string_agg(c::text, ',' order by c) from worker.campaigns c),
    (select string_agg(e::text, ',' order by e.id) from worker.executors e),
    (select string_agg(p::text, ',' order by p.kind) from content_pools p),
    (select count(*) from quest_templates where used), (select count(*) from npc_personalities where used),
    (select count(*) from combat_encounters where used), (select count(*) from dungeon_content where used),
    (select count(*) from campaign_pois where used))";

/// The statement is refused: `given` is the start of the message, `field: value`; `allowed` stands in the detail.
#[track_caller]
fn refuses(session: &mut Session, statement: &str, given: &str, allowed: &str) {
    let before: String = session.value(STATE, &[]);
    let refusal = session.refused(statement, &[]);
    assert_eq!(refusal.code(), "22023", "{statement}: {refusal:?}");
    assert_eq!(refusal.message, format!("{given} is not allowed"), "{statement}");
    assert!(
        refusal.detail.starts_with("Allowed: ") && refusal.detail.contains(allowed),
        "{statement}: {refusal:?}"
    );
    assert_eq!(
        session.value::<String>(STATE, &[]),
        before,
        "{statement} changed something"
    );
}
