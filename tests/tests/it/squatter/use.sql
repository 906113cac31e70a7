-- All that touches the game's tables and the pools, whoever is in the way: every step may fail, none ends the others.
do $$
declare
  v_step text;
  v_lease record;
begin
  foreach v_step in array array[
    $q$ select enqueue_worker_job('summarize_session', '{"character_id": "00000000-0000-4000-8000-0000000000c1"}') $q$,
    $q$ select enqueue_worker_job('summarize_session', '{"character_id": "00000000-0000-4000-8000-0000000000c1", "messages": [{"role": "dm", "content": "Rain."}]}') $q$,
    $q$ select enqueue_worker_job('generate_pois', '{"campaign_seed": "ember", "count": 1, "poi_type": "ruin"}', 1) $q$,
    $q$ select enqueue_worker_job('generate_quests', '{"count": 1}', 1) $q$,
    $q$ select schedule_pool_check() $q$,
    $q$ select worker.tick() $q$,
    $q$ select * from claim_quest_from_pool(null) $q$,
    $q$ select * from claim_npc_from_pool('ember', null) $q$,
    $q$ select * from claim_encounter_from_pool() $q$,
    $q$ select * from claim_dungeon_from_pool() $q$,
    $q$ select * from claim_poi_from_pool('ember') $q$,
    $q$ select * from content_pool_status $q$,
    $q$ select * from worker_queue_status $q$,
    $q$ select * from worker_executors $q$,
    $q$ select * from worker_costs $q$,
    $q$ select worker.about() $q$,
    $q$ select worker.next_due() $q$,
    $q$ select * from worker.preview_item('poi', '{"campaign_seed": "ember"}') $q$,
    $q$ select * from worker.preview_item('session_summary', '{"character_id": "00000000-0000-4000-8000-0000000000c1"}') $q$,
    $q$ select worker.refill_pools() $q$,
    $q$ select worker.prune_jobs() $q$,
    $q$ select worker.retire_items('builtin') $q$
  ] loop
    begin
      execute v_step;
    exception when others then
      raise notice '%: %', v_step, sqlerrm;
    end;
  end loop;
  for v_lease in select * from worker.lease_jobs('00000000-0000-4000-8000-0000000000e9', 30) loop
    begin
      perform worker.next_item(v_lease.job_id, v_lease.lease_token);
    exception when others then
      raise notice 'next item: %', sqlerrm;
    end;
    begin
      perform worker.store_item(v_lease.job_id, v_lease.lease_token, 1, case v_lease.kind
        when 'session_summary' then '{"summary": "They went down to the old mill and found a light in the loft.", "key_events": ["light"], "open_threads": []}'
        when 'poi' then '{"name": "Sluice of Otterford", "type": "ruin", "description": "A sluice gate stands open over a dry ditch, and somebody has hung a coat on it.", "encounter_chance": 0.4}'
        else '{"title": "Flour of Otterford", "description": "A miller asks you to look after eight sacks of flour that never reached the market.",
              "objectives": [{"type": "investigate", "target": "the old mill", "count": 1}], "level_min": 1, "level_max": 3, "xp_reward": 100, "gold_reward": 50}' end::jsonb);
    exception when others then
      raise notice 'store: %', sqlerrm;
    end;
    begin
      perform worker.complete_job(v_lease.job_id, v_lease.lease_token);
    exception when others then
      raise notice 'complete: %', sqlerrm;
    end;
  end loop;
exception when others then
  raise notice 'lease: %', sqlerrm;
end $$;
