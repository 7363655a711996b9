"""InitProducerId: an identity for an idempotent producer (KIP-98)."""
from ..errors import ErrorCode
from ..frames import RequestHeader
from ..messages import InitProducerIdRequest, InitProducerIdResponse
from ..needs import Broker, KafkaError

NO_PRODUCER = -1


async def init_producer_id(broker: Broker, header: RequestHeader,
                           request: InitProducerIdRequest) -> InitProducerIdResponse:
    """A new producer id with epoch 0. There are no transactions: a transactional id gets the error that ends a
    transactional producer in every client, rather than one that is tried again for ever.
    """
    error = ErrorCode.NONE
    half = (request.producer_id == NO_PRODUCER) != (request.producer_epoch == NO_PRODUCER)
    if half or request.transactional_id == "":
        error = ErrorCode.INVALID_REQUEST
    elif request.transactional_id is not None:
        error = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if error is not ErrorCode.NONE:
        return InitProducerIdResponse(error_code=error, producer_id=NO_PRODUCER, producer_epoch=NO_PRODUCER)
    try:
        return InitProducerIdResponse(producer_id=await broker.producer_ids.next(), producer_epoch=0)
    except KafkaError as refused:
        return InitProducerIdResponse(error_code=refused.code, producer_id=NO_PRODUCER, producer_epoch=NO_PRODUCER)
