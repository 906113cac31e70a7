//! What must hold at any time, whatever the reference model believes: each line is a query for the
//! rows that break it.

/// A name and the rows that must not be there.
pub const INVARIANTS: &[(&str, &str)] = &[
    (
        "a job is in one of the five states",
        "select id from worker_jobs
          where (status in ('pending', 'running', 'completed', 'failed', 'cancelled')) is not true",
    ),
    (
        "a running job has a token, an end of its lease and a start, and has not ended",
        "select id from worker_jobs where status = 'running'
            and (lease_token is null or lease_expires_at is null or started_at is null or completed_at is not null)",
    ),
    (
        "a pending job has no lease and has not ended",
        "select id from worker_jobs where status = 'pending' and (lease_expires_at is not null or completed_at is not null)",
    ),
    (
        "an ended job says when it ended, not before it began",
        "select id from worker_jobs where status in ('completed', 'failed', 'cancelled')
            and (completed_at is null or completed_at < created_at or (status = 'completed' and completed_at < started_at))",
    ),
    (
        "completed means that what was asked for is there",
        "select id from worker_jobs where status = 'completed' and stored is distinct from asked",
    ),
    (
        "a job has one owner: no two jobs share a token",
        "select min(id::text) from worker_jobs where lease_token is not null group by lease_token having count(*) > 1",
    ),
    (
        "a job counts the items that the ledger holds for it, never more than it asked for",
        "select j.id from worker_jobs j left join worker.items i on i.job_id = j.id
          where j.job_type <> 'check_all_pools' group by j.id
         having j.stored <> count(i.*) or count(i.*) > j.asked or min(i.item_no) < 1 or max(i.item_no) > j.asked",
    ),
    (
        "the ledger and the pool hold the same items",
        "select coalesce(i.item_id, q.id) from (select item_id from worker.items where kind = 'quest') i full join quest_templates q on q.id = i.item_id
          where i.item_id is null or q.id is null",
    ),
    (
        "an item says which job it is from",
        "select q.id from quest_templates q join worker.items i on i.item_id = q.id
          where (q.provenance ->> 'job_id')::uuid <> i.job_id or (q.provenance ->> 'item_no')::int <> i.item_no",
    ),
    (
        "one job on the way for each dedupe key, one pending pool check",
        "select min(id::text) from worker_jobs where status in ('pending', 'running') and dedupe_key is not null
          group by dedupe_key having count(*) > 1
         union all
         select min(id::text) from worker_jobs where status = 'pending' and job_type = 'check_all_pools' having count(*) > 1",
    ),
];

/// All of them as one statement that gives the names of those that are broken.
pub fn broken() -> String {
    let each = INVARIANTS
        .iter()
        .map(|(name, rows)| format!("select '{name}' where exists ({rows})"));
    each.collect::<Vec<_>>().join("\nunion all\n")
}
