{#- Every row keeps the condition; null counts as broken. -#}
{% test holds(model, condition, column_name=none) %}
select *
from {{ model }}
where ({{ condition }}) is not true
{% endtest %}
