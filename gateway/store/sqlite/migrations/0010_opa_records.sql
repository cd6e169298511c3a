-- What OPA has logged of its decisions itself, by its own ids; the oldest are deleted.

create table opa_record (id text not null unique, state text not null);
