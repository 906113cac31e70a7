//! Everything that a game, an executor and the owner do with our tables, each as one text of SQL.

/// A verb: its name, the role that does it, its SQL.
pub struct Verb {
    pub name: &'static str,
    pub role: &'static str,
    pub sql: &'static str,
}

impl Verb {
    /// Those that look at everything that is ours take as long as all others together.
    pub fn is_long(&self) -> bool {
        matches!(self.name, "add a kind" | "set up")
    }
}

const fn game(name: &'static str, sql: &'static str) -> Verb {
    let role = super::prepared::GAME;
    Verb { name, role, sql }
}

const fn executor(name: &'static str, sql: &'static str) -> Verb {
    let role = super::prepared::GPU;
    Verb { name, role, sql }
}

const fn owner(name: &'static str, sql: &'static str) -> Verb {
    let role = super::prepared::OWNER;
    Verb { name, role, sql }
}

pub const VERBS: &[Verb] = &[
    game("enqueue", "select enqueue_worker_job('generate_quests', '{\"count\": 2, \"level_range\": [1, 3]}')"),
    game("enqueue with a key", "select enqueue_worker_job('generate_npcs', p_dedupe_key => 'n' || i) from generate_series(1, 2) i"),
    game("enqueue of a campaign", "select enqueue_worker_job('generate_pois', '{\"campaign_seed\": \"ash\"}', 2, now())"),
    game(
        "enqueue a summary",
        "select enqueue_worker_job('summarize_session', '{\"character_id\": \"00000000-0000-4000-8000-0000000000c1\",
                \"messages\": [{\"role\": \"player\", \"content\": \"We rest.\"}]}')",
    ),
    game(
        "insert by hand",
        "insert into worker_jobs (job_type, parameters) select 'generate_encounters', '{\"count\": 1}' from generate_series(1, 3)",
    ),
    game("pool check", "select schedule_pool_check()"),
    game("cancel", "select cancel_worker_job(id) from worker_jobs where status = 'pending'"),
    game("retry", "select retry_worker_job('00000000-0000-4000-8000-0000000000a3')"),
    game("change a pool", "update content_pools set min_size = 4, batch_size = 1 where kind = 'npc'"),
    game("claim a quest", "select * from claim_quest_from_pool(null, 1, 5)"),
    game("claim a quest once", "select * from claim_quest_from_pool('00000000-0000-4000-8000-0000000000c1', 1, 10, 'ask')"),
    game("claim an npc", "select * from claim_npc_from_pool('ember', '{\"x\": 1}')"),
    game("claim an encounter", "select * from claim_encounter_from_pool('forest', 1, 5)"),
    game("claim a dungeon", "select * from claim_dungeon_from_pool('easy', '{\"x\": 1}', 'ask')"),
    game("claim a poi", "select * from claim_poi_from_pool('ember', 'ruin')"),
    game("claim what is not there", "select * from claim_poi_from_pool('ash'); select * from claim_quest_from_pool(null, 9, 10)"),
    game("claim of one's own kind", "select * from claim_from_pool('riddle')"),
    game("see the queue", "select * from worker_queue_status"),
    game("see the pools", "select * from content_pool_status"),
    game("see the executors", "select * from worker_executors"),
    game("see the costs", "select * from worker_costs"),
    executor("about", "select worker.about()"),
    executor("ready", "select worker.ready()"),
    executor("look", "select worker.next_due(), worker.jobs_wait(), worker.next_due(now())"),
    executor("lease", "select * from worker.lease_jobs('00000000-0000-4000-8000-0000000000e9', 10)"),
    executor("lease for an empty pool", "select * from worker.lease_for_empty_pool('00000000-0000-4000-8000-0000000000e9')"),
    executor(
        "heartbeat",
        "select * from worker.heartbeat(array['00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a2']::uuid[],
                                        array['00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a2']::uuid[])",
    ),
    executor(
        "next item",
        "select * from worker.next_item('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a1')",
    ),
    executor("next summary", "select * from worker.next_item('00000000-0000-4000-8000-0000000000a2', '00000000-0000-4000-8000-0000000000a2')"),
    executor(
        "store",
        "select * from worker.store_item('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a1', 2,
           '{\"title\": \"Flour of Otterford\", \"description\": \"A miller asks you to look after eight sacks of flour that never reached the market.\",
             \"objectives\": [{\"type\": \"investigate\", \"target\": \"the old mill\", \"count\": 1}],
             \"level_min\": 1, \"level_max\": 3, \"xp_reward\": 100, \"gold_reward\": 50}', '{\"model\": \"m\", \"prompt_tokens\": 3}')",
    ),
    executor(
        "store a summary",
        "select * from worker.store_item('00000000-0000-4000-8000-0000000000a2', '00000000-0000-4000-8000-0000000000a2', 1,
           '{\"summary\": \"They went down to the old mill and found a light in the loft.\", \"key_events\": [\"light\"], \"open_threads\": []}')",
    ),
    executor(
        "reject",
        "select * from worker.reject_item('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a1', 2, 'rules', 'too short')",
    ),
    executor("complete", "select * from worker.complete_job('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a1')"),
    executor(
        "complete several",
        "select * from worker.complete_jobs(array['00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a2']::uuid[],
                                            array['00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a2']::uuid[])",
    ),
    executor("fail", "select * from worker.fail_job('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a1', 'no')"),
    executor(
        "fail for good",
        "select * from worker.fail_job('00000000-0000-4000-8000-0000000000a2', '00000000-0000-4000-8000-0000000000a2', 'no', true)",
    ),
    executor("release", "select * from worker.release_job('00000000-0000-4000-8000-0000000000a1', '00000000-0000-4000-8000-0000000000a1', 5, 'away')"),
    executor(
        "lease and write",
        "do $$
         declare l record; v_item record;
         begin
           for l in select * from worker.lease_jobs('00000000-0000-4000-8000-0000000000e9', 10) loop
             select * into v_item from worker.next_item(l.job_id, l.lease_token);
             perform worker.store_item(l.job_id, l.lease_token, 1, '{\"title\": \"A Riddle\", \"text\": \"What runs and never walks?\"}');
             perform worker.fail_job(l.job_id, l.lease_token, 'no');
           end loop;
         end $$",
    ),
    executor("preview", "select * from worker.preview_item('quest'); select * from worker.preview_item('poi', '{\"campaign_seed\": \"ember\"}'); select * from worker.preview_item('npc')"),
    executor("rescue", "select worker.rescue_jobs()"),
    executor("refill", "select worker.refill_pools()"),
    executor("prune", "select worker.prune_jobs()"),
    executor("tick", "select worker.tick()"),
    executor("report", "select worker.report_executor('00000000-0000-4000-8000-0000000000e1', '{\"generator\": \"llm\"}')"),
    executor("show presence", "select worker.show_presence('00000000-0000-4000-8000-0000000000e1')"),
    executor("leave", "select worker.unregister_executor('00000000-0000-4000-8000-0000000000e1')"),
    executor("status", "select * from worker.queue_status(); select * from worker.pool_status(); select * from worker.batch_estimates(20)"),
    owner("retire", "select worker.retire_items('builtin')"),
    owner("add a kind", "select worker.add_kind('rumour', 'A rumour.', '{\"type\": \"object\", \"properties\": {\"text\": {\"type\": \"string\"}}}')"),
    owner("drop a kind", "select worker.drop_kind('riddle')"),
    owner("set up", "select worker.setup()"),
];
