-- How vectors are read: those of one user, in the order of their ids.

CREATE INDEX embeddings_of_user_by_id ON embeddings (user_id, memory_id);
DROP INDEX embeddings_of_user;
-- Nearly all rows are of one model. A plan made before the table was analysed took this index for a
-- narrow one, and read all of it at each search.
DROP INDEX embeddings_of_model;

-- Vectors of up to 2,000 numbers stay in their rows: out of line each takes three more reads.
ALTER TABLE embeddings SET (toast_tuple_target = 8160);
