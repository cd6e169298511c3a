-- Each decision with who asked, about what. Refusals, of which anybody can cause any number, are kept up to a bound.

alter table decision add column tenant text not null default '';
alter table decision add column run text not null default '';
alter table decision add column name text not null default '';
alter table decision add column refused integer not null default 0;
alter table decision add column passing integer not null default 0;
-- What policy saw; null where that was the document that the run had then, of which `digest` is the SHA-256.
alter table decision add column document blob;
alter table decision add column digest blob;

create index decision_refused on decision (id) where refused = 1;
create index decision_passing on decision (id) where passing = 1;
create index decision_passing_of_tenant on decision (tenant, id) where passing = 1;
