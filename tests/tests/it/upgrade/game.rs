//! A game that is upgraded while it plays: rows in every state, things of its own, roles.

use crate::steps::{Lease, call, enqueue_quests, lease_one, outcome, quest, store, store_quest};
use pg_worker_tests::{Database, Session};
use std::collections::BTreeMap;

const ROLES: &str = "
    do $$ begin
      if not exists (select from pg_roles where rolname = 'upgrade_backend') then
        create role upgrade_backend login;
        create role upgrade_executor login;
      end if;
    exception when duplicate_object or unique_violation then null;
    end $$";

/// What somebody may have added, and an upgrade must leave alone.
const OF_ITS_OWN: &str = "
    alter table quest_templates add column mine_region text default 'north';
    create index mine_region on quest_templates (mine_region);
    create policy mine_readers on quest_templates for select to upgrade_backend using (true);
    create view mine_quests as select id, title from quest_templates;
    grant select on quest_templates to upgrade_executor";

/// Rows of every table as JSON, told apart by what names them.
const ROWS: &str = "
    select 'job ' || id, to_jsonb(t) from worker_jobs t union all
    select 'quest ' || id, to_jsonb(t) from quest_templates t union all
    select 'npc ' || id, to_jsonb(t) from npc_personalities t union all
    select 'pool ' || kind, to_jsonb(t) from content_pools t union all
    select 'item ' || item_id, to_jsonb(t) from worker.items t union all
    select 'campaign ' || campaign_seed, to_jsonb(t) from worker.campaigns t union all
    select 'executor ' || id, to_jsonb(t) from worker.executors t union all
    select 'own kind ' || kind, to_jsonb(t) from worker.kinds t where not shipped";

/// What was there before the upgrade.
pub struct Game {
    rows: BTreeMap<String, serde_json::Value>,
    lease: Lease,
}

/// The roles of a backend and of an executor.
pub fn grant(session: &mut Session) {
    session.run(ROLES);
    session.run(
        "select worker.grant_backend('upgrade_backend'); select worker.grant_executor('upgrade_executor')",
    );
}

/// Things that are not ours.
pub fn customise(session: &mut Session) {
    session.run(OF_ITS_OWN);
}

impl Game {
    pub fn in_full_swing(database: &Database) -> Game {
        let mut session = database.session();
        grant(&mut session);
        customise(&mut session);
        session.run(
            "update content_pools set enabled = false, prompt = 'mine' where kind = 'npc';
             update content_pools set enabled = false",
        );
        a_job_in_every_state(&mut session);
        session.run("select claim_quest_from_pool(null, request_id => 'req-1')");
        session.run(
            "insert into npc_personalities (name, race, occupation, personality, quirk, secret)
             values ('Ann', 'human', 'smith', 'kind', 'hums', 'none');
             insert into worker.campaigns (campaign_seed) values ('camp')",
        );
        enqueue_quests(&mut session, 3);
        let lease = lease_one(&mut session);
        store_late(&mut session, &lease, 1);
        Game {
            rows: rows(&mut session),
            lease,
        }
    }

    /// Each row is there with all its values; new columns may have come.
    pub fn has_lost_nothing(&self, database: &Database) {
        let now = rows(&mut database.session());
        for (name, before) in &self.rows {
            let now = now.get(name).unwrap_or_else(|| panic!("{name} is gone"));
            for (column, value) in before.as_object().expect("a row") {
                // The test itself claims a quest in between.
                let by_the_claim = name.starts_with("quest") && column.starts_with("used");
                assert!(
                    by_the_claim || now.get(column) == Some(value),
                    "{name}: {column} was {value}, is {:?}",
                    now.get(column)
                );
            }
        }
    }

    /// The job that was in hand is finished by the executor that had it, with its old rights.
    pub fn goes_on(&self, database: &Database) {
        let mut executor = database.session_as("upgrade_executor");
        store_late(&mut executor, &self.lease, 2);
        store_late(&mut executor, &self.lease, 3);
        assert_eq!(
            outcome(&mut executor, "complete_job", &self.lease, ""),
            "completed"
        );
        let mut backend = database.session_as("upgrade_backend");
        let again = "select title from claim_quest_from_pool(null, request_id => 'req-1')";
        let title: String = backend.value(again, &[]);
        assert_eq!(title, quest(1)["title"].as_str().expect("a title"));
        backend.run("select schedule_pool_check()");
        executor.run("select worker.tick(); select worker.show_presence(gen_random_uuid())");
    }
}

/// Completed with a quest in the pool, failed, cancelled, pending now and later; the caller adds a running one.
fn a_job_in_every_state(session: &mut Session) {
    enqueue_quests(session, 2);
    let completed = lease_one(session);
    store_quest(session, &completed, 1);
    session.run("select claim_quest_from_pool(null, request_id => 'req-1')");
    store_quest(session, &completed, 2);
    assert_eq!(outcome(session, "complete_job", &completed, ""), "completed");
    enqueue_quests(session, 1);
    let failed = lease_one(session);
    assert_eq!(call(session, "fail_job", &failed, ", 'no', true").0, "failed");
    let cancelled = enqueue_quests(session, 1);
    session.run(&format!("select cancel_worker_job('{cancelled}')"));
    session.run(
        "select enqueue_worker_job('generate_npcs', '{\"count\": 2}', 9, now() + interval '1 day', 'mine');
         select enqueue_worker_job('generate_encounters', null, 9, now() + interval '1 hour')",
    );
}

/// An item of the job that is in hand over the upgrade; its quests are not those of the first job.
fn store_late(session: &mut Session, lease: &Lease, item_no: i32) {
    let answer = store(session, lease, item_no, &quest(10 + item_no));
    assert_eq!(answer.outcome, "stored", "{answer:?}");
}

fn rows(session: &mut Session) -> BTreeMap<String, serde_json::Value> {
    let rows = session.rows(ROWS, &[]);
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
