"""YAML, one a job; `metamodel configs ls` lists them and `metamodel configs cp` copies one."""
