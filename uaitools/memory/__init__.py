"""Memories of users and the context of conversations, found again by meaning and by word.

context/     what of a conversation fits a budget of tokens
embed/       texts into vectors: what is alike in meaning is near
evaluation/  how good a search is: labelled questions, and measures with their uncertainty
index/       vectors found by nearness, behind one protocol

PostgreSQL is the truth; whatever else is kept of a memory is made of it.
"""
