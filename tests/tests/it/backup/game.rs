//! A game in full swing: rows in every state, and everything that a game adds of its own.

use crate::steps::{Lease, enqueue_quests, lease_one, outcome, store_quest};
use pg_worker_tests::{Cluster, Database, Executor, Session};
use uuid::Uuid;

/// Roles belong to the server: made once, for all its databases.
pub fn make_roles(cluster: &Cluster) {
    for role in ["backup_game", "backup_gpu", "backup_teller"] {
        cluster.role(role);
    }
}

/// What is the game's own, on our tables and beside them.
const OWN: &str = "
create table characters (id uuid primary key, name text, campaign_seed text not null);
insert into characters values ('7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', 'Rowan', 'abc123');
alter table quest_templates
  add column mood text not null default 'grim',
  add column given_to uuid references characters on delete set null deferrable initially deferred;
alter table session_summaries
  add constraint my_character foreign key (character_id) references characters;
alter table worker_jobs add column note text;
create index my_quests_by_mood on quest_templates (mood) where not used;
create unique index my_notes on worker_jobs (note);
alter table npc_personalities add constraint my_short_names check (length(name) < 200);
create policy my_tellers on npc_personalities for select to backup_teller using (not used);
grant select on npc_personalities to backup_teller;
create view my_open_quests with (security_invoker = true) as select title, mood from quest_templates where not used;
create table my_log (title text);
grant insert on my_log to public;
create function my_log_quest() returns trigger language plpgsql as
  'begin insert into public.my_log values (new.title); return null; end';
create trigger my_log_quest after insert on quest_templates for each row execute function my_log_quest();
comment on column quest_templates.mood is 'How it feels, says the ''game''.';
alter table quest_templates alter mood set statistics 500;
update content_pools set min_size = 3, batch_size = 3;
update content_pools set prompt = E'Mine: {{theme}} \\\\ $1 %s \\'quoted\\'\\n{{recent_titles}}', temperature = 0.5 where kind = 'quest';
update content_pools set enabled = false where kind = 'npc';
insert into worker.campaigns values ('abc123');
select worker.add_kind('asteroid', 'Invent an asteroid. It orbits {{orbit}}.',
  '{\"type\": \"object\", \"required\": [\"name\"], \"properties\": {\"name\": {\"type\": \"string\"}}}',
  p_min_size => 2, p_batch_size => 2, p_title_field => 'name', p_facets => '{\"orbit\": [\"near\", \"far\"]}',
  p_grammar => '{\"item\": {\"name\": \"{a} {b}\"}, \"rules\": {\"a\": [\"Old\", \"New\", \"Red\"], \"b\": [\"Rock\", \"Ember\", \"Needle\"]}}');
select worker.grant_backend('backup_game');
select worker.grant_executor('backup_gpu')";

/// Jobs that nobody has to run for them to be in these states.
const STATES: &str = "
insert into worker_jobs (job_type, parameters, run_at, dedupe_key, note) values
  ('generate_quests', '{\"count\": 2}', now() + interval '1 day', 'tomorrow', 'of the game'),
  ('generate_npcs', '{\"count\": 1}', now(), null, 'due');
insert into worker_jobs (job_type, status, error_message, attempts, stored) values
  ('generate_dungeons', 'failed', E'no\\tluck \\\\ at all', 3, 0);
select cancel_worker_job(enqueue_worker_job('generate_encounters'));
insert into worker.pool_trouble values ('poi', 'abc123', 2, 'no model', now(), now() - interval '1 minute')";

/// Who was in the middle of something when the dump was made.
pub struct UnderWay {
    /// A job with one of two quests stored, its lease still good.
    pub lease: Lease,
    /// A job whose lease has run out.
    pub lost: Uuid,
    /// The quest that the request 'click-1' was given.
    pub claimed: String,
}

/// Fills a database that has the tables.
pub fn play(database: &Database) -> UnderWay {
    let mut session = database.session();
    make_roles(database.cluster());
    session.run(OWN);
    // Finished jobs, items of all kinds, an account of tokens.
    Executor::on(database).succeeds("once");
    session.run("delete from worker_jobs where status = 'pending'; update content_pools set enabled = false");
    let lost = enqueue_quests(&mut session, 3);
    let stale = lease_one(&mut session);
    store_quest(&mut session, &stale, 3);
    session.run(
        "update worker_jobs set lease_expires_at = now() - interval '1 minute' where status = 'running'",
    );
    enqueue_quests(&mut session, 2);
    let lease = lease_one(&mut session);
    store_quest(&mut session, &lease, 1);
    session.run(
        "update worker_jobs set lease_expires_at = now() + interval '1 hour' where lease_expires_at > now()",
    );
    session.run(STATES);
    let claimed = claim(&mut session);
    UnderWay { lease, lost, claimed }
}

/// A claim of the request `click-1`.
fn claim(session: &mut Session) -> String {
    session.value(
        "select title from claim_quest_from_pool(null, 1, 20, 'click-1')",
        &[],
    )
}

/// Everything that was under way goes on where it was, for the roles that had it.
#[track_caller]
pub fn goes_on(database: &Database, before: &UnderWay) {
    let mut game = database.session_as("backup_game");
    let mut gpu = database.session_as("backup_gpu");
    let mut owner = database.session();
    assert_eq!(
        claim(&mut game),
        before.claimed,
        "the same request, the same item"
    );
    store_quest(&mut gpu, &before.lease, 2);
    assert_eq!(outcome(&mut gpu, "complete_job", &before.lease, ""), "completed");
    gpu.run("select worker.tick()");
    owner.run("update worker_jobs set run_at = now() where status = 'pending'");
    Executor::on(database).succeeds("once");
    let sql = "select status || ' ' || stored from worker_jobs where id = $1";
    assert_eq!(owner.value::<String>(sql, &[&before.lost]), "completed 3");
    assert_eq!(
        owner.count("worker_jobs where status in ('pending', 'running')"),
        0
    );
    let teller = "select count(*) from npc_personalities where not used";
    let unused: i64 = owner.value(teller, &[]);
    assert_eq!(
        database
            .session_as("backup_teller")
            .value::<i64>("select count(*) from npc_personalities", &[]),
        unused
    );
}
