//! What a session sets for itself moves nothing of everybody's, and a preview reads nobody's conversation.

use pg_worker_tests::{Database, Session, on_both_installs};

// Of the single file on a server that does not know the library: there a setting is but a name.
on_both_installs!(
    an_executor_cannot_empty_the_history,
    the_databases_own_retention_counts,
    an_executor_cannot_refill_what_is_off,
    a_preview_of_a_summary_is_of_an_example,
);

const GPU: &str = "settings_gpu";

fn executor(database: &Database) -> Session {
    database.cluster().role(GPU);
    let mut owner = database.session();
    owner.run("select worker.grant_executor('settings_gpu'); update content_pools set enabled = false;
               insert into worker_jobs (job_type, status, completed_at) values ('generate_npcs', 'completed', now() - interval '2 days')");
    owner.run("update worker_jobs set completed_at = now() - interval '2 days' where completed_at is null or completed_at > now() - interval '2 days'");
    database.session_as(GPU)
}

/// Where the library is loaded the setting is refused, elsewhere it is only a name.
fn an_executor_cannot_empty_the_history(database: &Database) {
    let mut gpu = executor(database);
    let _ = gpu.batch_execute("set pg_worker_ext.retention = '1 second'");
    gpu.run("select worker.prune_jobs(); select worker.tick()");
    assert_eq!(
        database.session().count("worker_jobs where status = 'completed'"),
        1
    );
    drop(gpu);
    // Nor by a setting of its role's own, or of its connection.
    let mut own = database.session_as(GPU);
    let _ = own.batch_execute("alter role settings_gpu set pg_worker_ext.retention = '1 second'");
    let mut config = database.config();
    config.user(GPU).options("-c pg_worker_ext.retention=1s");
    if let Ok(mut gpu) = Session::try_open(&config) {
        gpu.run("select worker.tick()");
    }
    database.session_as(GPU).run("select worker.tick()");
    let _ = own.batch_execute("alter role settings_gpu reset pg_worker_ext.retention");
    assert_eq!(
        database.session().count("worker_jobs where status = 'completed'"),
        1
    );
}

fn the_databases_own_retention_counts(database: &Database) {
    executor(database);
    let name = database.name();
    let done = "worker_jobs where status = 'completed'";
    for (retention, left) in [("0", 1), ("3 d", 1), ("1 d", 0)] {
        let retention = if retention.len() > 1 {
            retention.replace(' ', "")
        } else {
            retention.to_owned()
        };
        database.session().run(&format!(
            "alter database {name} set pg_worker_ext.retention = '{retention}'"
        ));
        database.session_as(GPU).run("select worker.tick()");
        assert_eq!(database.session().count(done), left, "{retention}");
    }
}

fn an_executor_cannot_refill_what_is_off(database: &Database) {
    let mut gpu = executor(database);
    let mut owner = database.session();
    owner.run("update content_pools set enabled = true");
    let _ = gpu.batch_execute("set pg_worker_ext.refill = off");
    gpu.run("select worker.refill_pools()");
    assert!(
        owner.count("worker_jobs where status = 'pending'") > 0,
        "nor switch it off for others"
    );
}

const TALK: &str = "
    create table dm_conversations (character_id uuid, role text, content text, created_at timestamptz default now());
    insert into dm_conversations values ('7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', 'dm', 'The secret is in the well.');
    select worker.setup(); select worker.grant_executor('settings_gpu')";

fn a_preview_of_a_summary_is_of_an_example(database: &Database) {
    database.cluster().role(GPU);
    database.session().run(TALK);
    let mut gpu = database.session_as(GPU);
    for parameters in [
        "{\"character_id\": \"7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001\"}",
        "{\"character_id\": \"7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001\", \"messages\": null}",
        "{}",
    ] {
        let prompt = format!("select p::text from worker.preview_item('session_summary', '{parameters}') p");
        let prompt: String = gpu.value(&prompt, &[]);
        assert!(
            !prompt.contains("in the well") && prompt.contains("Ansel Reed"),
            "{prompt}"
        );
    }
    let own = "select messages::text from worker.preview_item('session_summary',
        '{\"character_id\": \"7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001\", \"messages\": [{\"role\": \"dm\", \"content\": \"Words of one''s own.\"}]}')";
    assert!(gpu.value::<String>(own, &[]).contains("Words of one's own."));
}
