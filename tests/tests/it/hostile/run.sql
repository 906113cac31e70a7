-- Runs texts of SQL one after the other, with the rights of whoever calls. What is wrong with an answer: an error of the
-- server's inside, SQL that could not be read, or that it was none where there should have been one.
create schema hostile;
grant usage on schema hostile to public;
create table public.secrets (secret text);
insert into public.secrets values ('of nobody here');
create function hostile.run(p_calls text[], p_denied boolean[]) returns table (n integer, code text, message text) language plpgsql as $$
begin
  for v_n in 1 .. cardinality(p_calls) loop
    n := v_n;
    begin
      execute p_calls[v_n];
      code := '00000';
      message := '';
    exception when others then
      code := sqlstate;
      message := sqlerrm;
    end;
    if left(code, 2) in ('XX', '57', '58', 'F0', '53') or code in ('42601', '40P01') or code = '00000' and p_denied[v_n] then
      return next;
    end if;
  end loop;
end $$;
