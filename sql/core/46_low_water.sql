-- The low-water mark: where a lease begins to look.
--
-- Each job that was worked off leaves dead entries in the index of the pending ones, before those that wait, and
-- while somebody holds an old snapshot no vacuum can take them away: without a mark every lease walks over all of
-- them. The mark is a hint that costs little when it is wrong. A job below it (its run_at was long past when it was
-- committed, or the clock was set back) is found by the next walk, a minute later at most.

create or replace function worker.setup_table_low_water() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- since 0.2.0
  if to_regclass('worker.low_water') is null then
    create table worker.low_water (
      only_row boolean primary key default true check (only_row),
      run_at timestamptz[],
      walked_at timestamptz
    );
    comment on table worker.low_water is 'Where a lease begins to look while many dead entries cannot be cleaned up (worker.keep_low_water).';
    comment on column worker.low_water.run_at is 'By priority: no pending job had an earlier run_at. NULL: there is no need for marks.';
    comment on column worker.low_water.walked_at is 'When all pending jobs were looked at for it; NULL: never.';
  end if;
  if worker.may_change('worker.low_water') then
    insert into worker.low_water default values on conflict do nothing;
  end if;
end $$;
comment on function worker.setup_table_low_water() is
'Makes the table of the low-water marks. Part of worker.setup().';

create or replace function worker.keep_low_water() returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
  v_now timestamptz := clock_timestamp();
  v_dead bigint := pg_stat_get_dead_tuples('public.worker_jobs'::regclass);
  v_mark record;
begin
  select w.run_at, w.walked_at into v_mark from worker.low_water w;
  if v_dead < 500 then
    update worker.low_water set run_at = null
     where only_row in (select w.only_row from worker.low_water w where w.run_at is not null for update skip locked);
    return;
  end if;
  -- As long as vacuum does its work there are fewer; and a walk over all of them is worth it once a minute.
  if v_dead < 2000 and v_mark.run_at is null or v_mark.walked_at between v_now - interval '1 minute' and v_now then
    return;
  end if;
  update worker.low_water
     set walked_at = v_now,
         run_at = array(
           -- Two minutes back: who has just enqueued may not have committed yet.
           select least(v_now - interval '2 minutes', (
                    select j.run_at from public.worker_jobs j
                     where j.status = 'pending' and j.job_type <> 'check_all_pools' and j.priority = level.priority
                     order by j.run_at, j.id limit 1))
             from generate_series(1, 10) as level(priority)
            order by level.priority)
   -- Another tick that is at it is not waited for.
   where only_row in (select w.only_row from worker.low_water w where w.walked_at is not distinct from v_mark.walked_at for update skip locked);
end $$;
comment on function worker.keep_low_water() is
'Looks at most once a minute where the pending jobs of each priority begin, while more dead entries lie before them than vacuum leaves as a rule: worker.lease_jobs begins there. Part of worker.rescue_jobs().';
