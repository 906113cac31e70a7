-- Statements that fail in every way that a server has, for a server with the library and one without: what psql shows
-- of them is compared. Nothing here depends on an oid, a process id, a time or a path of the server's.
\set VERBOSITY verbose
\set SHOW_CONTEXT always

create schema shop;
set search_path = shop, public;
create table shop.customer (id int primary key, name text not null, age int constraint grown_up check (age >= 18), email text unique);
create table shop.orders (id int primary key, customer int constraint of_customer references shop.customer deferrable initially deferred);
create domain shop.price as numeric constraint not_negative check (value >= 0);
create table shop.line (orders int references shop.orders, cost shop.price, during int4range, exclude using gist (during with &&));
create type shop.colour as enum ('red', 'green');
create view shop.grown as select * from shop.customer where age >= 18 with local check option;

-- errors of one's own, in every form of a call
create procedure shop.own() language plpgsql as $$ begin raise exception 'mine' using errcode = 'MY001'; end $$;
create procedure shop.all_fields() language plpgsql as $$
begin
  raise exception using errcode = 'MY002', message = 'the message', detail = 'the detail', hint = 'the hint', column = 'the_column',
    constraint = 'the_constraint', datatype = 'the_type', table = 'the_table', schema = 'the_schema';
end $$;
create function shop.inner_one() returns int language plpgsql as $$ begin call shop.own(); return 1; end $$;
create function shop.middle() returns int language sql as $$ select shop.inner_one() $$;
create function shop.outermost() returns int language plpgsql as $$ begin return shop.middle(); end $$;
call shop.own();
do $$ begin call shop.own(); end $$;
do $$ begin call shop.own(); exception when sqlstate 'MY001' then raise notice 'caught its own'; end $$;
call shop.all_fields();
do $$ begin call shop.all_fields(); end $$;
do $$
declare
  v_code text; v_message text; v_detail text; v_hint text; v_column text; v_constraint text; v_type text; v_table text; v_schema text; v_context text;
begin
  call shop.all_fields();
exception when others then
  get stacked diagnostics v_code = returned_sqlstate, v_message = message_text, v_detail = pg_exception_detail, v_hint = pg_exception_hint,
    v_column = column_name, v_constraint = constraint_name, v_type = pg_datatype_name, v_table = table_name, v_schema = schema_name,
    v_context = pg_exception_context;
  raise notice '% | % | % | % | % | % | % | % | % | %', v_code, v_message, v_detail, v_hint, v_column, v_constraint, v_type, v_table, v_schema, v_context;
end $$;
select shop.outermost();
do $$ begin perform shop.outermost(); end $$;
do $$ begin raise exception 'plain'; end $$;
do $$ begin raise sqlstate '22012'; end $$;
do $$ begin raise division_by_zero using message = 'by name'; end $$;
do $$ begin raise exception 'first'; exception when others then raise exception 'second: %', sqlerrm using errcode = 'MY003'; end $$;
do $$ begin raise exception 'kept'; exception when others then raise; end $$;
do $$ begin perform 1 / 0; exception when division_by_zero then raise notice 'caught: %', sqlstate; end $$;
do $$ begin perform 1 / 0; end $$;
do $$ begin assert false, 'asserted'; end $$;
do $$ begin raise warning 'a warning' using detail = 'of its detail', hint = 'of its hint', errcode = 'MYW01'; end $$;
do $$ begin raise notice 'a notice' using table = 'of a table'; end $$;
do $$ declare n int not null := 1; begin n := null; end $$;
do $$ declare n int; begin select id into strict n from shop.customer where id = -1; end $$;
do $$ begin execute 'select 1 from missing_one'; end $$;
do $$ begin execute 'create table shop.t (a missing_type)'; end $$;
do $$ begin execute 'creat table'; end $$;
do $$ begin create table shop.customer (id int); end $$;
do $$ begin create table shop.customer (id int); exception when duplicate_table then raise notice 'caught: %', sqlerrm; end $$;
do $$ begin drop table shop.nothing; exception when undefined_table then raise notice 'caught: %', sqlerrm; end $$;
do $$ begin perform no_such_function(1); end $$;
do $$ begin this is no plpgsql; end $$;
do language missing_language $$ $$;
call shop.missing();
call shop.own(1);
select shop.own();
call shop.middle();

-- constraints, at once and at the end
insert into shop.customer values (1, 'Ada', 36, 'a@b');
insert into shop.customer values (1, 'Bob', 40, 'b@b');
insert into shop.customer values (2, null, 40, 'c@b');
insert into shop.customer values (2, 'Child', 4, 'd@b');
insert into shop.customer values (2, 'Twin', 40, 'a@b');
insert into shop.line values (99, 1, '[1,5]');
insert into shop.line values (null, -1, '[1,5]');
insert into shop.line values (null, 1, '[1,5]');
insert into shop.line values (null, 1, '[3,9]');
insert into shop.grown values (3, 'Young', 3, 'e@b');
insert into shop.orders values (1, 77);
begin;
insert into shop.orders values (1, 77);
commit;
begin;
insert into shop.orders values (1, 77);
set constraints all immediate;
rollback;
begin;
insert into shop.orders values (2, 78);
savepoint s;
set constraints shop.of_customer immediate;
rollback to s;
rollback to missing;
select 1;
rollback;
set constraints shop.no_such immediate;
alter table shop.customer add constraint old check (age > 90);
alter table shop.customer alter column age set not null, add constraint named_one unique (name), add constraint named_one unique (id);
create unique index on shop.customer ((1));
insert into shop.customer values (9, 'Zoe', 30, 'z@b');
create unique index twins on shop.customer ((1));

-- data definition, with its place in the statement
create table shop.t (a int, a text);
create table shop.t (a missing_type);
create table shop.t (a int default nowhere());
create table shop.t (a int check (b > 1));
create table shop.t (a int references shop.missing);
create table missing_schema.t (a int);
create table shop.customer (id int);
create table if not exists shop.customer (id int);
create table shop.t (a int) partition by range (b);
create table shop.p partition of shop.customer for values in (1);
create view shop.v as select missing_column from shop.customer;
create view shop.v as select 1 as a, 2 as a;
create or replace view shop.grown as select name, id, age, email from shop.customer;
create index on shop.customer (missing_column);
create index concurrently on shop.missing (a);
create function shop.f() returns int language sql as $$ select missing_column $$;
create function shop.f() returns int language plpgsql as $$ begin retur 1; end $$;
create function shop.f() returns missing_type language sql as $$ select 1 $$;
create function shop.f(a int, a int) returns int language sql as $$ select 1 $$;
create function shop.f() returns int language c as 'missing_library', 'f';
create procedure shop.own() language sql as '';
create trigger t before insert on shop.customer for each row execute function shop.missing();
create trigger t before insert on shop.customer for each row execute function shop.middle();
create rule r as on select to shop.customer do instead nothing;
create type shop.colour as enum ('blue');
alter type shop.colour add value 'red';
alter type shop.colour rename value 'blue' to 'yellow';
create domain shop.d as missing_type;
create sequence shop.s maxvalue 0;
create aggregate shop.agg (int) (sfunc = missing, stype = int);
create operator === (leftarg = int, rightarg = int, function = missing);
create cast (int as shop.colour) with function missing(int);
create extension no_such_extension;
create extension plpgsql;
create language plpython9u;
create foreign table shop.foreign_one (a int) server no_such_server;
create server no_such foreign data wrapper missing_wrapper;
create publication p for table shop.missing;
create subscription s connection 'host=' publication p with (connect = false, slot_name = missing, nonsense);
create event trigger e on no_such_event execute function shop.middle();
create policy p on shop.missing;
create statistics shop.stats on id from shop.customer;
create collation shop.c (locale = 'no_such_locale');
create text search configuration shop.c (copy = missing);
create role missing_role in role none_such;
create role pg_mine;
create database template1;
create database copied template no_such_template;
create database copied encoding 'LATIN1' lc_collate 'no_such';
create database copied connection limit -5;
create database copied nonsense = 1;
create tablespace t location 'not/absolute';
alter table shop.missing add column a int;
alter table shop.customer add column name text;
alter table shop.customer alter column name type int;
alter table shop.customer alter column name type int using name::int;
alter table shop.customer drop column missing_column;
alter table shop.customer drop column id;
alter table shop.customer rename column name to age;
alter table shop.customer rename to orders;
alter table shop.customer attach partition shop.orders default;
alter table shop.customer inherit shop.customer;
alter table shop.customer owner to no_such_role;
alter table shop.customer validate constraint missing_constraint;
alter table shop.customer disable trigger missing_trigger;
alter function shop.middle() rename to outermost;
alter database no_such_database rename to other;
alter database no_such_database set work_mem = '1GB';
alter database template0 is_template nonsense;
alter role no_such_role login;
alter system set no_such_setting = 1;
alter system set work_mem = 'much';
alter default privileges in schema missing_schema grant select on tables to public;
alter extension plpgsql update to '99';
comment on table shop.missing is 'nothing';
comment on column shop.customer.missing_column is 'nothing';
security label on table shop.customer is 'secret';
grant select on shop.missing to public;
grant all on shop.customer to no_such_role;
revoke nonsense on shop.customer from public;
reassign owned by no_such_role to postgres;

-- what is not there, or is needed still
drop table shop.missing;
drop table if exists shop.missing;
drop table shop.customer;
drop table shop.grown;
drop view shop.customer;
drop index shop.missing;
drop function shop.missing(int);
drop function if exists shop.missing(missing_type);
drop schema shop;
drop schema missing_schema;
drop type shop.colour, shop.missing;
drop role no_such_role;
drop role postgres;
drop database no_such_database;
drop database if exists no_such_database;
drop database template1;
drop database postgres with (force, nonsense);
drop extension no_such_extension;
drop owned by no_such_role;
drop trigger missing on shop.customer;
drop policy missing on shop.customer;
drop server missing;
truncate shop.missing;
truncate shop.customer;
lock table shop.missing;
lock table shop.customer in no such mode;
cluster shop.customer using missing_index;
reindex table shop.missing;
reindex index concurrently shop.missing;
refresh materialized view shop.customer;
analyze shop.missing;
analyze shop.customer (missing_column);
vacuum (nonsense) shop.customer;
vacuum shop.missing;

-- what is not allowed here
begin;
vacuum;
rollback;
begin;
create database inside;
rollback;
begin;
create index concurrently on shop.customer (age);
rollback;
do $$ begin vacuum; end $$;
do $$ begin commit; end $$;
do $$ begin begin perform 1; exception when others then null; end; rollback; end $$;
do $$ begin execute 'create database inside'; end $$;
create function shop.commits() returns int language plpgsql as $$ begin commit; return 1; end $$;
select shop.commits();
begin;
do $$ begin commit; end $$;
rollback;
commit;
rollback;
begin;
begin;
commit and no chain;
savepoint s;
release missing;
prepare transaction 'p';
commit prepared 'p';
rollback prepared 'p';
begin read only;
create table shop.t (a int);
rollback;
begin read only;
call shop.own();
rollback;
begin;
select 1;
set transaction isolation level serializable;
rollback;
set transaction snapshot 'nonsense';
set no_such_setting = 1;
set mine.no_such = 1;
set work_mem = 'much';
set search_path = ;
set role no_such_role;
set session authorization no_such_role;
set shared_buffers = '1GB';
reset no_such_setting;
show no_such_setting;
discard nonsense;
load 'missing_library';
checkpoint nonsense;

-- COPY, with its line
create table shop.numbers (a int, b text);
copy shop.numbers from stdin;
1	one
two	two
\.
copy shop.numbers from stdin;
1
\.
copy shop.numbers from stdin;
1	one	more
\.
copy shop.numbers from stdin (format csv);
1,"not closed
\.
copy shop.numbers from stdin (format csv, header match);
x,y
1,one
\.
copy shop.customer from stdin (format csv);
20,Eve,30,e@b
21,Kid,3,k@b
\.
copy shop.numbers to stdout (format nonsense);
copy shop.numbers (missing_column) to stdout;
copy shop.missing to stdout;
copy (select 1 / 0) to stdout;
copy (select shop.outermost()) to stdout;
copy shop.grown from stdin (format csv);
4,Young,4,y@b
\.
copy shop.numbers from '/no/such/file';
copy shop.numbers to 'relative';
copy shop.numbers from program 'exit 7';

-- prepared statements, cursors, notifications, plans
prepare p as select missing_column from shop.customer;
prepare p (int) as select 10 / $1;
prepare p (int) as select 1;
execute p (0);
execute p (1, 2);
execute p ('x');
execute missing;
deallocate missing;
deallocate p;
declare c cursor for select 1;
fetch missing;
begin;
declare c cursor for select 1 / 0;
fetch c;
rollback;
begin;
declare c cursor for select 1;
move backward all in c;
close missing;
rollback;
listen "";
notify a_channel_whose_name_is_much_too_long_for_a_name_of_sixty_three_characters;
select pg_notify('', 'x');
select pg_notify('c', repeat('x', 9000));
explain (nonsense) select 1;
explain analyze select 1 / 0 from shop.customer;
explain execute missing;
explain (costs off, analyze, timing off, summary off) create table shop.made as select 1 / 0;
create table shop.made as select 1 / 0;
create materialized view shop.made as select shop.outermost();
create table shop.made as execute missing;
select * into shop.customer from shop.orders;
import foreign schema public from server missing into shop;

-- triggers and events of one's own
create function shop.refuses() returns trigger language plpgsql as $$
begin
  raise exception 'refused on %', tg_op using errcode = 'MY004', table = tg_table_name, schema = tg_table_schema;
end $$;
create trigger refuses before truncate on shop.numbers execute function shop.refuses();
truncate shop.numbers;
create trigger refuses_rows before insert on shop.numbers for each row execute function shop.refuses();
copy shop.numbers from stdin;
1	one
\.
insert into shop.numbers values (1);
create function shop.no_tables() returns event_trigger language plpgsql as $$
begin
  raise exception 'no % today', tg_tag using errcode = 'MY005', hint = 'tomorrow';
end $$;
create event trigger no_tables on ddl_command_start when tag in ('CREATE TABLE') execute function shop.no_tables();
create table shop.refused (a int);
do $$ begin create table shop.refused (a int); exception when sqlstate 'MY005' then raise notice 'caught the event''s'; end $$;
do $$ begin create table shop.refused (a int); end $$;
drop event trigger no_tables;

-- ends of patience, and what nobody can read
set statement_timeout = '30ms';
do $$ begin perform pg_sleep(10); end $$;
do $$ begin perform pg_sleep(10); exception when query_canceled then raise notice 'caught the end'; end $$;
call shop.own();
reset statement_timeout;
do $$ declare f int; begin with recursive r as (select 1 as n union all select n + 1 from r) select 1 / (n - 3) into f from r; end $$;
selec 1;
select 'not closed;
';
create tabel shop.t (a int);
select 1 from;
select missing_column;
select '{'::json;
select 'x'::int;
select 'pink'::shop.colour;
select 10 ^ 1000000;
select e'\xff';
select convert_from('\xff', 'UTF8');
select lo_open(1, 0);
select $1;
select nextval('shop.missing');
select shop.customer.* from shop.customer for update of missing;
merge into shop.customer using shop.orders on true when matched then delete;
merge into shop.customer c using (values (1), (1)) v (id) on c.id = v.id when matched then delete;
values (1), (1, 2);

-- as somebody who may nothing
create role shop_guest;
grant usage on schema shop to shop_guest;
set role shop_guest;
select * from shop.customer;
create table shop.t (a int);
drop table shop.customer;
alter table shop.customer add column b int;
truncate shop.customer;
call shop.own();
do $$ begin create table shop.t (a int); end $$;
do $$ begin create table shop.t (a int); exception when insufficient_privilege then raise notice 'caught: %', sqlerrm; end $$;
create database shop_guest;
create role shop_guest_2;
create extension file_fdw;
alter system set work_mem = '1GB';
copy shop.customer to '/tmp/shop';
grant select on shop.customer to public;
comment on table shop.customer is 'mine';
vacuum shop.customer;
checkpoint;
set session_replication_role = replica;
reset role;
drop role shop_guest;
drop owned by shop_guest;
drop role shop_guest;
