-- What an operator has said of a region, until it is withdrawn or done.

create table region_order (region text not null, name text not null, primary key (region, name)) without rowid;
