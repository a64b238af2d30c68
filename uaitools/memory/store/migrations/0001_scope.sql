-- Whose rows a statement reaches: those of the user who is named before it, or everybody's where it
-- says so. See uaitools.memory.store.scope.

-- Keeps the rows of a table apart by its column user_id, from its owner as well.
CREATE FUNCTION keep_users_apart(rows_of regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', rows_of);
    EXECUTE format(
        'CREATE POLICY scope ON %s USING (user_id = current_setting(''uaitools.user_id'', true)'
        ' OR current_setting(''uaitools.everyone'', true) = ''on'')', rows_of);
END
$$;
