-- Functions of earlier versions that are no more: an upgrade leaves nothing that a fresh install does not have.

do $$
declare
  v_gone text;
begin
  foreach v_gone in array array[
    'worker.check_parameter(text, jsonb, jsonb)', 'worker.check_parameters(jsonb, jsonb)', 'worker.is_range(jsonb, numeric, numeric, boolean)',
    'worker.want(text, jsonb, boolean)', 'worker.want_encounter(text, real, real, boolean)', 'worker.wait_for_item(text, uuid)',
    'worker.require_right(text, text)']
  loop
    if pg_catalog.to_regprocedure(v_gone) is not null then
      execute pg_catalog.format('drop function %s', v_gone);
    end if;
  end loop;
end $$;
