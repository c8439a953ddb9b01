"""The outbox: mails that wait to be sent, written in the transaction of what they tell of.

Promises: one mail for each kind and subject, however often it is put and by however many workers it is sent; a mail
is claimed before it goes out and marked after, with nothing held in between. A worker that dies in between leaves a
mail nobody can know the fate of: it is sent again, under the same Message-ID. Owns mails. Who a mail goes to and what
it says is decided when it is sent, by the slice that owns its kind.
"""
