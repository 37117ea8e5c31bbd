-- The trace that the attempts on a delivery belong to, as a header "traceparent" (W3C Trace Context); empty for none.
ALTER TABLE deliveries ADD COLUMN trace TEXT NOT NULL DEFAULT '';
